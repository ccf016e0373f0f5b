"""What happens to a body that was posted: read, prove, publish, and nothing else before the answer.

An item that cannot be used is counted and dropped: Graph would send it again for hours, and it would never get better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

from common import logging
from common.broker.publisher import Publisher
from common.client_state import ClientStates
from common.clock import Clock, utc_now
from common.messages import Stream
from webhook import payload
from webhook.group_commit import Group, GroupCommit, Proven
from webhook.metrics import Metrics
from webhook.payload import Change, ItemRefusedError, Lifecycle, Refusal

_EITHER = tuple(Stream)

log = logging.get("webhook")


class Reception:
    """Takes bodies in and has published what is proven."""

    def __init__(self, states: ClientStates, publisher: Publisher, metrics: Metrics, clock: Clock = utc_now) -> None:
        self._states = states
        self._group_commit = GroupCommit(publisher, metrics, clock)
        self._metrics = metrics

    def take(self, body: bytes) -> Group | None:
        """Return the group that everything usable in `body` is published with, None if there is nothing.

        Raises:
            PayloadError: the body is no collection of notifications.
        """
        proven: list[Proven] = []
        refused: Counter[str] = Counter()
        proof = cache(self._states.proven_stream)  # the items of a body have the same clientState
        for raw in payload.read_collection(body):
            try:
                item = payload.read_item(raw)
                proven.append((item, self._proven_stream(item, proof)))
            except ItemRefusedError as error:
                refused[error.refusal.value] += 1
        self._report(refused)
        return self._group_commit.join(proven) if proven else None

    def _proven_stream(self, item: Change | Lifecycle, proof: Callable[..., Stream | None]) -> Stream:
        """A change must prove the stream it speaks of; a lifecycle event names none and may prove either."""
        streams = (item.stream,) if isinstance(item, Change) else _EITHER
        stream = proof(item.client_state, item.tenant_id, streams)
        if stream is None:
            raise ItemRefusedError(Refusal.WRONG_CLIENT_STATE)
        return stream

    def _report(self, refused: Counter[str]) -> None:
        for refusal, count in refused.items():
            self._metrics.items.labels(refusal).inc(count)
        if refused:
            log.warning("notifications_dropped", **refused)
