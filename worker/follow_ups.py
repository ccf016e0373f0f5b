"""Follow-ups that come close together share one message: else a burst is followed by a round a second for minutes.

What is gathered is in memory alone. If it is lost, or another worker gets the message, the round that the message asks
for comes all the same, and whoever it does not show either is left to the poll.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.messages import OBJECT_IDS_LIMIT
from worker.leases import StreamKey

SHARE = 0.25
"""So much of its delay a follow-up may come early."""
PLACES_KEPT = 10_000


@dataclass
class _Shared:
    """A message under way; `object_ids` are those that it does not name itself."""

    closes_at: datetime
    due_at: datetime
    object_ids: set[str] = field(default_factory=set)


class FollowUps:
    """The messages of each stream and level (the index of its delay in `steps`, in seconds); thread-safe."""

    def __init__(self, steps: Sequence[float]) -> None:
        self.steps = steps
        self._lock = threading.Lock()
        self._under_way: dict[tuple[StreamKey, int], deque[_Shared]] = {}

    def join(self, key: StreamKey, level: int, object_ids: Collection[str], now: datetime) -> bool:
        """Let `object_ids` share a message that was published a moment ago; False: there is none, or it is full."""
        with self._lock:
            under_way = self._under_way.get((key, level))
            if not under_way or now >= under_way[-1].closes_at:
                return False
            shared = under_way[-1].object_ids | set(object_ids)
            if len(shared) > OBJECT_IDS_LIMIT:
                return False
            under_way[-1].object_ids = shared
            return True

    def published(self, key: StreamKey, level: int, now: datetime) -> None:
        """Note a message, which others may share from now on."""
        delay = timedelta(seconds=self.steps[level])
        with self._lock:
            if len(self._under_way) >= PLACES_KEPT:
                self._forget(now)
            self._under_way.setdefault((key, level), deque()).append(_Shared(now + SHARE * delay, now + delay))

    def take(self, key: StreamKey, level: int, now: datetime) -> set[str]:
        """Return who shares the messages that are due by now."""
        found: set[str] = set()
        with self._lock:
            under_way = self._under_way.get((key, level), deque())
            while under_way and under_way[0].due_at <= now:
                found |= under_way.popleft().object_ids
            if not under_way:
                self._under_way.pop((key, level), None)
        return found

    def _forget(self, now: datetime) -> None:
        """Forget what other workers have got."""
        self._under_way = {place: found for place, found in self._under_way.items() if found[-1].due_at > now}
