"""Coalescing: all deliveries of one stream that wait are answered by one round.

A stream that is being advanced collects what arrives meanwhile, for one more round after it. Under a steady stream of
notifications rounds are spaced (`Pace`), so that a burst of thousands costs a handful of Graph calls.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from common.broker.consumer import Delivery
from common.messages import Reason, SyncRequest
from worker.leases import StreamKey

BURST_ROUNDS = 20.0
ROUNDS_A_SECOND = 1.0
RELUCTANCE = 3
"""How late a burst is slowed down: with a higher power the first rounds wait less and those after them more."""
PILE = 50
"""So many requests of one stream wait at most as deliveries of their own: see `Inbox.take_pile`."""
LOOK_SECONDS = 0.5
"""How often a waiting thread looks whether the inbox was closed: `close` must not take its lock."""


@dataclass(frozen=True)
class Waiting:
    """A request and the delivery to settle once it is answered."""

    request: SyncRequest
    delivery: Delivery


class Pace:
    """Lets a stream have `BURST_ROUNDS` rounds in store and one more each second; the fewer it has, the more they wait.

    So the first rounds of a burst follow each other at once, those of the first second within 0.3 s, and after a while
    there is one a second. Spent at once, the store would be gone after half a second, in rounds for a change each.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[StreamKey, tuple[float, float]] = {}

    def spend(self, key: StreamKey) -> None:
        """Count a round that begins now."""
        self._buckets[key] = (self._clock(), self._tokens(key) - 1.0)
        if len(self._buckets) > 10_000:
            self._buckets = {one: bucket for one, bucket in self._buckets.items() if self._tokens(one) < BURST_ROUNDS}

    def wait_seconds(self, key: StreamKey) -> float:
        """Return how long the next round of this stream should wait; 0 after any pause in the traffic."""
        if key not in self._buckets:
            return 0.0
        since, tokens = self._buckets[key]
        apart_seconds = (1.0 - tokens / BURST_ROUNDS) ** RELUCTANCE / ROUNDS_A_SECOND
        return max(0.0, since + apart_seconds - self._clock())

    def _tokens(self, key: StreamKey) -> float:
        since, tokens = self._buckets.get(key, (self._clock(), BURST_ROUNDS))
        return min(BURST_ROUNDS, tokens + (self._clock() - since) * ROUNDS_A_SECOND)


class Inbox:
    """Requests by stream, handed out one stream at a time; thread-safe."""

    def __init__(self, pace: Pace | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace = pace or Pace(clock)
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[StreamKey, list[Waiting]] = {}
        self._queued: set[StreamKey] = set()
        self._busy: set[StreamKey] = set()
        self._ready: deque[StreamKey] = deque()
        self._put_off: dict[StreamKey, float] = {}
        self._later: list[tuple[float, int, StreamKey]] = []
        self._order = 0
        self.closed = threading.Event()

    def put(self, waiting: Waiting, *, delay_seconds: float = 0.0) -> None:
        """Add a request; with a delay, its stream is not handed out before that."""
        request = waiting.request
        key = StreamKey(request.tenant_id, request.stream)
        with self._changed:
            self._waiting.setdefault(key, []).append(waiting)
            if key in self._busy and delay_seconds > 0:
                self._put_off[key] = self._clock() + delay_seconds
            self._queue(key, delay_seconds)

    def take(self) -> tuple[StreamKey, list[Waiting]] | None:
        """Wait for a stream with requests and take them all; None once the inbox is closed.

        The stream is not handed out again before `done`.
        """
        with self._changed:
            while not self.closed.is_set():
                self._promote()
                if self._ready:
                    return self._hand_out(self._ready.popleft())
                self._changed.wait(self._pause_seconds())
            return None

    def take_pile(self, key: StreamKey) -> list[Waiting]:
        """Take all that waits for a stream under way if it is a pile, to be put together into one message.

        Unsettled deliveries count towards the prefetch: those of a stream that takes long would use it up, and keep the
        requests of all other streams from this worker.
        """
        with self._changed:
            is_pile = key in self._busy and len(self._waiting.get(key, ())) >= PILE
            return self._waiting.pop(key) if is_pile else []

    def done(self, key: StreamKey) -> None:
        """The round of this stream is over; what arrived meanwhile gets the next one."""
        with self._changed:
            self._busy.discard(key)
            not_before = self._put_off.pop(key, 0.0)
            if key in self._waiting:
                self._queue(key, not_before - self._clock())

    def has_waiting(self, key: StreamKey) -> bool:
        """Tell whether somebody waits for the stream; the rest of its own work, put back, is nobody."""
        with self._changed:
            return any(one.request.reason is not Reason.CONTINUED for one in self._waiting.get(key, ()))

    def waiting_count(self) -> int:
        """Return how many requests have not been handed out."""
        with self._changed:
            return sum(len(waiting) for waiting in self._waiting.values())

    def close(self) -> None:
        """Hand out nothing more; what waits stays unsettled and goes back to the broker. Safe in a signal handler."""
        self.closed.set()

    def _queue(self, key: StreamKey, delay_seconds: float) -> None:
        if key in self._busy or key in self._queued:
            return
        self._queued.add(key)
        delay = max(delay_seconds, self._pace.wait_seconds(key))
        if delay > 0:
            self._order += 1
            heapq.heappush(self._later, (self._clock() + delay, self._order, key))
        else:
            self._ready.append(key)
        self._changed.notify()

    def _promote(self) -> None:
        while self._later and self._later[0][0] <= self._clock():
            self._ready.append(heapq.heappop(self._later)[2])

    def _hand_out(self, key: StreamKey) -> tuple[StreamKey, list[Waiting]]:
        self._queued.discard(key)
        self._busy.add(key)
        self._pace.spend(key)
        if self._ready:
            self._changed.notify()
        return key, self._waiting.pop(key)

    def _pause_seconds(self) -> float:
        until_next = max(0.0, self._later[0][0] - self._clock()) if self._later else LOOK_SECONDS
        return min(LOOK_SECONDS, until_next)
