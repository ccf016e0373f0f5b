"""`entra-sms status --json`: the same facts for programs. Names of fields are kept; new ones may come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from common.clock import to_text
from console.condition import Condition
from console.queues import Broker
from console.reads.advance import Advance
from console.reads.holds import Hold
from console.status_monitoring import verdict
from console.troubles import Trouble


def as_json(conditions: Sequence[Condition], broker: Broker, troubles: Sequence[Trouble]) -> dict[str, Any]:
    """Return everything as JSON."""
    return {
        "healthy": not troubles,
        "verdict": verdict(troubles).name.lower(),
        "troubles": [trouble.sentence for trouble in troubles],
        "tenants": [_tenant(one) for one in conditions],
        "broker": {
            "reachable": broker.trouble is None,
            "workers": broker.workers,
            "queues": {depth.name: depth.messages for depth in broker.depths},
        },
    }


def _tenant(one: Condition) -> dict[str, Any]:
    size, tenant_troubles = one.size, one.troubles
    counts = (
        {
            "people": size.people,
            "with_number": size.reachable,
            "without_number": size.without_number,
            "invalid_number": size.invalid_number,
            "groups": size.groups,
            "memberships": one.memberships,
        }
        if size is not None
        else {}
    )
    return {
        "tenant_id": one.tenant.tenant_id,
        "name": one.tenant.name,
        "domain": one.tenant.domain,
        "state": one.tenant.state,
        "state_code": one.tenant.state_code,
        "state_reason": one.tenant.state_reason,
        "state_since": _time(one.tenant.state_since),
        "throttled_until": _time(one.tenant.throttled_until),
        "credential_expires_at": _time(one.tenant.credential_expires_at),
        "verdict": verdict(tenant_troubles).name.lower(),
        "troubles": [trouble.text for trouble in tenant_troubles],
        **counts,
        "lag_seconds": one.lag_seconds,
        "streams": {str(part.stream): _stream(part, one.hold_of(part.stream)) for part in one.advances},
        "subscriptions": {row.stream: _time(row.expires_at) for row in one.subscriptions},
    }


def _stream(one: Advance, hold: Hold | None) -> dict[str, Any]:
    return {
        "last_good_at": _time(one.last_good_at),
        "last_full_at": _time(one.last_full_at),
        "last_change_at": _time(one.last_change_at),
        "lag_seconds": one.last_change_lag_seconds,
        "failures": one.failures,
        "last_error": one.last_error,
        "full_wanted_at": _time(one.full_wanted_at),
        "full_began_at": _time(one.full_began_at),
        "full_pages": one.full_pages,
        "full_objects": one.full_objects,
        "held": hold.held if hold is not None else 0,
        "hold": hold.hold_id if hold is not None else None,
    }


def _time(moment: datetime | None) -> str | None:
    return to_text(moment) if moment is not None else None
