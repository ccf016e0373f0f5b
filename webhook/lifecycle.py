"""Lifecycle events become notices: one for each subscription and event."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from common.messages import LifecycleNotice, Stream
from webhook.payload import Lifecycle


def notices(events: Iterable[tuple[Lifecycle, Stream]], now: datetime) -> list[LifecycleNotice]:
    """Return a notice for each event with the stream that its `clientState` proved; repeated ones count once."""
    found = (
        LifecycleNotice(item.tenant_id, stream, item.event, item.subscription_id, received_at=now)
        for item, stream in events
    )
    return list(dict.fromkeys(found))
