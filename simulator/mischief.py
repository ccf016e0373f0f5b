"""Forged and odd notifications, sent besides the true ones."""

from __future__ import annotations

import uuid
from typing import Any

from simulator.faults import Faults


def forgeries(item: dict[str, Any], faults: Faults) -> list[dict[str, Any]]:
    """Return the extra notifications that the knobs ask for, made from a true one."""
    extra: list[dict[str, Any]] = []
    if faults.fires("notification_wrong_tenant"):
        extra.append(item | {"tenantId": str(uuid.uuid4())})
    if faults.fires("notification_wrong_client_state"):
        extra.append(item | {"clientState": "not the agreed one"})
    if faults.fires("notification_unknown_subscription"):
        extra.append(item | {"subscriptionId": str(uuid.uuid4())})
    if faults.fires("notification_unknown_properties"):
        extra.append(item | {"futureProperty": {"deep": [1, None]}})
    if faults.fires("notification_extra_enum"):
        extra.append(item | {"changeType": "unknownFutureValue"})
    return extra
