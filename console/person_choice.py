"""Which person is meant by what a person typed."""

from __future__ import annotations

from sqlalchemy import Connection

from common.db.tenants import Tenant
from console import output, person_card
from console.exits import ConsoleError
from console.reads import people
from console.reads.people import Person

CANDIDATES = 20


class NobodyError(ConsoleError):
    """Nobody in the address book is like that."""


def one_person(connection: Connection, tenant: Tenant, wanted: str) -> Person:
    """Return the person with the id, address, number or name, or the only one with `wanted` as a part of it.

    Raises:
        NobodyError: none is meant.
        ConsoleError: several are; they are listed with their ids.
    """
    found = people.find(connection, tenant.tenant_id, wanted, region=tenant.default_region, limit=CANDIDATES + 1)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NobodyError(
            f"Nobody in the address book of {output.shown(tenant.name)} is {output.shown(wanted)!r}. "
            "Look for a part of the name or the number: entra-sms contacts list --search TEXT"
        )
    person_card.show_list(found[:CANDIDATES], with_ids=True, console=output.stderr())
    many = str(len(found)) if len(found) <= CANDIDATES else f"More than {CANDIDATES}"
    raise ConsoleError(f"{many} people are meant by {output.shown(wanted)!r}. Give one of the ids.")
