"""Which group is meant by what a person typed."""

from __future__ import annotations

from sqlalchemy import Connection

from common.db.tenants import Tenant
from console import output
from console.exits import ConsoleError
from console.reads import teams
from console.reads.teams import Team

CANDIDATES = 20


def one_group(connection: Connection, tenant: Tenant, wanted: str) -> Team:
    """Return the group with the id or name, or the only one with `wanted` in its name.

    Raises:
        ConsoleError: none or several are meant; several are listed with their ids.
    """
    found = teams.find(connection, tenant.tenant_id, wanted, limit=CANDIDATES + 1)
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConsoleError(
            f"No group of {output.shown(tenant.name)} is called {output.shown(wanted)!r}. "
            "Look for a part of the name: entra-sms groups list --search TEXT"
        )
    output.table(
        ("OBJECT ID", "NAME", "MAIL"),
        [(team.object_id, team.display_name, team.mail) for team in found[:CANDIDATES]],
        console=output.stderr(),
    )
    many = str(len(found)) if len(found) <= CANDIDATES else f"More than {CANDIDATES}"
    raise ConsoleError(f"{many} groups are meant by {output.shown(wanted)!r}. Give one of the ids.")
