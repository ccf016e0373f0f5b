"""Change notifications become requests: one for each tenant and stream, however many items a POST holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from common.messages import OBJECT_IDS_LIMIT, Reason, Stream, SyncRequest
from webhook.payload import Change


def requests(changes: Iterable[Change], now: datetime) -> list[SyncRequest]:
    """Return the requests that `changes` amount to; past the limit the ids are hints too many and are left out."""
    object_ids: dict[tuple[str, Stream], set[str]] = defaultdict(set)
    for change in changes:
        object_ids[change.tenant_id, change.stream].add(change.object_id)
    return [
        SyncRequest(tenant_id, stream, Reason.NOTIFICATION, now, object_ids=tuple(sorted(ids)[:OBJECT_IDS_LIMIT]))
        for (tenant_id, stream), ids in object_ids.items()
    ]
