"""Deliveries that need no broker, and the requests in them."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from common.broker.consumer import Delivery
from common.messages import Reason, Stream, SyncRequest, encode
from common.topology import REQUESTS
from worker.inbox import Waiting

TENANT = "5ecabc00-0000-4000-8000-000000000001"
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def request(reason: Reason = Reason.NOTIFICATION, *, minute: float = 0, **more: Any) -> SyncRequest:
    """A request made `minute` minutes after noon."""
    values = {"tenant_id": TENANT, "stream": Stream.USERS} | more
    return SyncRequest(reason=reason, requested_at=NOON + timedelta(minutes=minute), **values)


class CountedDelivery(Delivery):
    """Counts how often it was settled."""

    def __init__(self, body: bytes, *, queue: str = REQUESTS, message_id: str = "", came_back: int = 0) -> None:
        headers = {"x-delivery-count": came_back} if came_back else {}
        properties = SimpleNamespace(message_id=message_id, type="", headers=headers)
        self.settled = 0
        super().__init__(queue, body, properties, self._count)

    def _count(self) -> None:
        self.settled += 1


def waiting(found: SyncRequest) -> Waiting:
    return Waiting(found, CountedDelivery(encode(found)))
