"""What happens to a body that was posted: read, prove, publish, and nothing else before the answer.

An item that cannot be used is counted and dropped: Graph would send it again for hours, and it would never get better.
"""

from __future__ import annotations

from collections import Counter

from common import logging
from common.broker import outgoing
from common.broker.outgoing import Outgoing
from common.broker.publisher import Publisher
from common.client_state import ClientStates
from common.clock import Clock, utc_now
from common.messages import Stream
from webhook import lifecycle, notifications, payload
from webhook.metrics import Metrics
from webhook.payload import Change, ItemRefusedError, Lifecycle, Refusal

log = logging.get("webhook")


class Reception:
    """Takes bodies in and hands what is proven to the broker."""

    def __init__(self, states: ClientStates, publisher: Publisher, metrics: Metrics, clock: Clock = utc_now) -> None:
        self._states = states
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock

    def take(self, body: bytes) -> None:
        """Return when everything usable in `body` is confirmed by the broker.

        Raises:
            PayloadError: the body is no collection of notifications.
            BrokerUnavailableError: not everything is confirmed; the whole body may be sent again.
        """
        proven: list[tuple[Change | Lifecycle, Stream]] = []
        refused: Counter[str] = Counter()
        for raw in payload.read_collection(body):
            try:
                item = payload.read_item(raw)
                proven.append((item, self._proven_stream(item)))
            except ItemRefusedError as error:
                refused[error.refusal.value] += 1
        messages = self._messages(proven)
        if messages:
            with self._metrics.publish_seconds.time():
                self._publisher.publish_all(messages)
        self._report(len(proven), len(messages), refused)

    def _proven_stream(self, item: Change | Lifecycle) -> Stream:
        """A change must prove the stream it speaks of; a lifecycle event names none and may prove either."""
        streams = (item.stream,) if isinstance(item, Change) else tuple(Stream)
        stream = self._states.proven_stream(item.client_state, item.tenant_id, streams)
        if stream is None:
            raise ItemRefusedError(Refusal.WRONG_CLIENT_STATE)
        return stream

    def _messages(self, proven: list[tuple[Change | Lifecycle, Stream]]) -> list[Outgoing]:
        now = self._clock()
        changes = (item for item, _ in proven if isinstance(item, Change))
        events = ((item, stream) for item, stream in proven if isinstance(item, Lifecycle))
        return [
            *map(outgoing.request, notifications.requests(changes, now)),
            *map(outgoing.lifecycle, lifecycle.notices(events, now)),
        ]

    def _report(self, queued: int, messages: int, refused: Counter[str]) -> None:
        if queued:
            self._metrics.items.labels("queued").inc(queued)
            log.info("notifications_queued", items=queued, messages=messages)
        for refusal, count in refused.items():
            self._metrics.items.labels(refusal).inc(count)
        if refused:
            log.warning("notifications_dropped", **refused)
