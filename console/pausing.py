"""A tenant is paused and goes on: a change of its row, so it works when RabbitMQ is away, and workers follow."""

from __future__ import annotations

from common.db import tenants
from common.db.tenants import Tenant, TenantState
from console import output, times
from console.choice import typed
from console.connection import Installation


def pause(installation: Installation, tenant: Tenant, reason: str) -> None:
    """Stop reading `tenant` and say what that means; a tenant that is paused stays as it is."""
    name = output.shown(tenant.name)
    with installation.database.write() as connection:
        now = installation.database.now(connection)
        if not tenants.pause(connection, tenant.tenant_id, reason, now):
            output.say(f"{name} was paused already, since {times.moment(tenant.state_since)}. Nothing was changed.")
            return
    output.say(
        f"Paused {name}. Nothing is read from its directory any more; the address book stays as it is. "
        "A worker deletes its subscriptions at Graph."
    )
    output.say(f"To go on: entra-sms tenants resume {typed(tenant)}")


def resume(installation: Installation, tenant: Tenant) -> None:
    """Read `tenant` again and say what that means; a tenant that is not paused stays as it is."""
    name = output.shown(tenant.name)
    with installation.database.write() as connection:
        if not tenants.resume(connection, tenant.tenant_id, installation.database.now(connection)):
            output.say(f"{name} is not paused. Nothing was changed.")
            if tenant.state is TenantState.ACCESS_FAILED:
                output.say(f"Its access fails; see why: entra-sms tenants check {typed(tenant)}")
            return
    output.say(
        f"Resumed {name}. What changed since {times.moment(tenant.state_since)} is caught up now, and "
        "subscriptions are made again."
    )
    output.say("Watch it with: entra-sms watch")
