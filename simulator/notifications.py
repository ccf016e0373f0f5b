"""How one notification looks: the item of a change, and the item of a lifecycle event.

Types are written `#Microsoft.Graph.User` and removed members carry the string "deleted", unlike in delta answers.

Source: the `changeNotification` resource; "Microsoft Entra events" of Azure Event Grid; captures of independent
projects for `members@delta`.
"""

from __future__ import annotations

from typing import Any

from simulator.change_log import Change
from simulator.clock import Clock, timestamp
from simulator.subscription_book import Subscription, change_type

# .NET ticks, tenths of microseconds since the year 1: what the service seems to number its events with.
_TICKS_AT_EPOCH = 621_355_968_000_000_000


def change_item(subscription: Subscription, change: Change, tenant_id: str, clock: Clock) -> dict[str, Any]:
    """Return the notification of a change to one subscription."""
    name = change.object_type.capitalize()
    path = f"{name}s/{change.object_id}"
    data: dict[str, Any] = {
        "@odata.type": f"#Microsoft.Graph.{name}",
        "@odata.id": path,
        "id": change.object_id,
        "organizationId": tenant_id,
    }
    if change.edge is None:
        data["eventTime"] = timestamp(change.wall, fraction_digits=7)
        data["sequenceNumber"] = _TICKS_AT_EPOCH + int(change.wall * 10_000_000)
    else:
        member = {"id": change.edge.member_id}
        data["members@delta"] = [member if change.edge.added else member | {"@removed": "deleted"}]
    return {
        "changeType": change_type(change),
        "clientState": subscription.client_state,
        "resource": path,
        "resourceData": data,
        "subscriptionExpirationDateTime": _expiry(subscription, clock, change.sequence),
        "subscriptionId": subscription.id,
        "tenantId": tenant_id,
    }


def lifecycle_item(subscription: Subscription, event: str, tenant_id: str, clock: Clock) -> dict[str, Any]:
    """Return the notification of `reauthorizationRequired`, `missed` or `subscriptionRemoved`."""
    return {
        "subscriptionId": subscription.id,
        "subscriptionExpirationDateTime": _expiry(subscription, clock, 0),
        "tenantId": tenant_id,
        "clientState": subscription.client_state,
        "lifecycleEvent": event,
    }


def _expiry(subscription: Subscription, clock: Clock, variation: int) -> str:
    """Return the expiry in one of the forms that were seen: with and without fractions, `Z` and `+00:00`."""
    digits, suffix = ((7, "Z"), (0, "+00:00"), (3, "Z"), (7, "+00:00"))[variation % 4]
    return timestamp(clock.to_wall(subscription.expires_at), fraction_digits=digits, suffix=suffix)
