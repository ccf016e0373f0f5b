"""The state of a tenant in one or two words, coloured: the same wherever it is shown."""

from __future__ import annotations

from rich.text import Text

from common.db.tenants import Tenant, TenantState
from console.condition import Condition

ACTIVE = Text("active", "green")
PAUSED = Text("paused", "yellow")
ACCESS_FAILED = Text("access failed", "bold red")
OF_STATE = {TenantState.ACTIVE: ACTIVE, TenantState.PAUSED: PAUSED, TenantState.ACCESS_FAILED: ACCESS_FAILED}


def of_tenant(tenant: Tenant) -> Text:
    """Return what its row says."""
    return OF_STATE[tenant.state]


def of_condition(one: Condition) -> Text:
    """Return what its row says, and what is wrong or waited for while it is active."""
    if one.tenant.state is not TenantState.ACTIVE:
        return OF_STATE[one.tenant.state]
    if one.is_only_held:
        return Text("held", "bold red")
    if one.troubles:
        return Text("in trouble", "bold red")
    return Text("throttled", "yellow") if one.is_throttled else ACTIVE
