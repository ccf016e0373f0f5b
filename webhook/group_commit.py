"""Group commit: POSTs that come at the same time share a message for each tenant and stream, and its confirm.

While one group is on its way to RabbitMQ, whoever comes joins the next one. So the more there is to do, the less each
POST costs. A POST that comes alone is published at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from common import logging
from common.broker import outgoing
from common.broker.outgoing import Outgoing
from common.broker.publisher import CONFIRM_SECONDS, Publisher
from common.clock import Clock
from common.messages import Stream
from webhook import lifecycle, notifications
from webhook.metrics import Metrics
from webhook.payload import Change, Lifecycle

Proven = tuple[Change | Lifecycle, Stream]
"""An item, and the stream that its `clientState` proved."""

GATHER_SECONDS = 0.003
"""A group that follows one of several POSTs is published when for so long nobody has joined it ..."""
GATHER_TIMES = 3
"""... or after so many times that."""

BUSY_SECONDS = 0.05
"""... if so long ago, at most, several POSTs have shared a group."""

IDLE_SECONDS = 1.0
"""So long the thread waits for another group before it ends."""

log = logging.get("webhook")


class Group:
    """POSTs that are answered together. Thread-safe, but for `items`, which belong to who publishes."""

    def __init__(self, began_at: datetime, until: float) -> None:
        self.began_at = began_at
        self.until = until
        """The time of the monotonic clock by which it is over."""
        self.posts = 0
        self.items: list[Proven] = []
        self.error: Exception | None = None
        """Why it is not confirmed: `BrokerUnavailableError`, or a defect."""
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._calls: list[Callable[[], object]] = []

    def when_over(self, call: Callable[[], object]) -> bool:
        """Have `call` called once it is over, from another thread; False, and it is not, when it is over already."""
        with self._lock:
            if self._is_over.is_set():
                return False
            self._calls.append(call)
            return True

    def wait(self) -> None:
        """Wait until it is confirmed or given up, which is not long."""
        self._is_over.wait()

    def end(self, error: Exception | None) -> None:
        """Say that it is confirmed, or why not."""
        with self._lock:
            self.error = error
            self._is_over.set()
        for call in self._calls:
            call()

    def messages(self) -> list[Outgoing]:
        changes = (item for item, _ in self.items if isinstance(item, Change))
        events = ((item, stream) for item, stream in self.items if isinstance(item, Lifecycle))
        return [
            *map(outgoing.request, notifications.requests(changes, self.began_at)),
            *map(outgoing.lifecycle, lifecycle.notices(events, self.began_at)),
        ]


class GroupCommit:
    """Publishes what is brought, one group after the other, on a thread that ends when nothing comes."""

    def __init__(self, publisher: Publisher, metrics: Metrics, clock: Clock) -> None:
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._changed = threading.Condition()
        self._gathering: Group | None = None
        self._is_publishing = False
        self._busy_until = 0.0

    def join(self, items: Sequence[Proven]) -> Group:
        """Return the group that `items` are published with; waits for nothing."""
        with self._changed:
            group = self._gathering
            if group is None:
                group = self._gathering = Group(self._clock(), time.monotonic() + CONFIRM_SECONDS)
                self._changed.notify()
            group.posts += 1
            group.items += items
            begins, self._is_publishing = not self._is_publishing, True
        if begins:
            self._begin()
        return group

    def _begin(self) -> None:
        try:
            threading.Thread(target=self._run, name="group-commit", daemon=True).start()
        except RuntimeError:  # there are too many threads; the next POST tries again, and publishes these items too
            with self._changed:
                self._is_publishing = False
            raise

    def _run(self) -> None:
        while (group := self._next()) is not None:
            try:
                self._publish(group)
            except Exception as error:  # noqa: BLE001 - the group's POSTs are waiting, and say what it is
                group.end(error)
            else:
                group.end(None)

    def _next(self) -> Group | None:
        """Take the group that has gathered; without one for some time, this thread ends."""
        with self._changed:
            group = self._gathering or self._changed.wait_for(lambda: self._gathering, IDLE_SECONDS)
            if group is None:
                self._is_publishing = False
                return None
        if time.monotonic() < self._busy_until:
            self._let_gather(group)
        with self._changed:
            self._gathering = None
        if group.posts > 1:
            self._busy_until = time.monotonic() + BUSY_SECONDS
        return group

    def _let_gather(self, group: Group) -> None:
        """Wait while others join."""
        for _ in range(GATHER_TIMES):
            posts_before = group.posts
            time.sleep(GATHER_SECONDS)
            if group.posts == posts_before:
                return

    def _publish(self, group: Group) -> None:
        messages = group.messages()
        with self._metrics.publish_seconds.time():
            self._publisher.publish_all(messages, timeout_seconds=max(0.0, group.until - time.monotonic()))
        self._metrics.items_queued.inc(len(group.items))
        log.info("notifications_queued", posts=group.posts, items=len(group.items), messages=len(messages))
