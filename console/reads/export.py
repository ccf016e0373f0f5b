"""Rows for the exports, one by one: the whole book is never in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, Select, and_, select

from common.db.tables import contacts, groups, memberships
from common.db.visible import is_visible
from common.phones import PhoneState
from console.reads.people import is_guest

ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class ExportedContact:
    """A person as exported; the fields are the columns, in this order."""

    object_id: str
    display_name: str | None
    phone: str | None
    phone_source: str | None
    phone_state: str
    mail: str | None
    enabled: bool | None
    guest: bool
    given_name: str | None
    surname: str | None


@dataclass(frozen=True)
class ExportedGroup:
    """A group as exported, with the ids of its direct members of every type."""

    object_id: str
    display_name: str | None
    members: list[str]


def every_contact(
    connection: Connection, tenant_id: str, *, state: PhoneState | None = None, within: Select[str] | None = None
) -> Iterator[ExportedContact]:
    """Yield the people of a tenant, ordered by object id: those in this state, whose ids are `within`."""
    person = contacts.c
    wanted = [person.tenant_id == tenant_id]
    if state is not None:
        wanted.append(person.phone_state == state)
    if within is not None:
        wanted.append(person.object_id.in_(within))
    query = (
        select(
            person.object_id,
            person.display_name,
            person.phone,
            person.phone_source,
            person.phone_state,
            person.mail,
            person.account_enabled.label("enabled"),
            person.user_type,
            person.given_name,
            person.surname,
        )
        .where(*wanted)
        .order_by(person.object_id)
    )
    for row in streaming(connection).execute(query).mappings():
        values = dict(row)
        values["guest"] = is_guest(values.pop("user_type"))
        yield ExportedContact(**values)


def every_group(connection: Connection, tenant_id: str) -> Iterator[ExportedGroup]:
    """Yield the groups of a tenant with their direct members, both ordered by object id."""
    of_group = and_(
        memberships.c.tenant_id == groups.c.tenant_id, memberships.c.group_id == groups.c.object_id, is_visible()
    )
    query = (
        select(groups.c.object_id, groups.c.display_name, memberships.c.member_id)
        .join_from(groups, memberships, of_group, isouter=True)
        .where(groups.c.tenant_id == tenant_id)
        .order_by(groups.c.object_id, memberships.c.member_id)
    )
    rows = streaming(connection).execute(query)
    for (object_id, display_name), edges in groupby(rows, key=lambda row: (row[0], row[1])):
        yield ExportedGroup(object_id, display_name, [member_id for _, _, member_id in edges if member_id is not None])


def streaming(connection: Connection) -> Connection:
    """Return the connection with results that come a few at a time, as they are read."""
    return connection.execution_options(stream_results=True, yield_per=ROWS_AT_ONCE)
