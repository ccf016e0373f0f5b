"""Everything that is stored about one person, as JSON with what it is for: the answer to who asks for a copy.

A test compares `SECTIONS` with all columns of the database that can hold an object id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, Text, and_, cast, or_, select

from common.clock import to_text
from common.db.tables import (
    changes,
    commands,
    contacts,
    groups,
    held_removals,
    memberships,
    rechecks,
    results,
    scope_members,
)
from common.db.tenants import Tenant

ELSEWHERE = (
    "Messages on queues name the object id until they are settled; log lines name it rarely; metrics name nobody. "
    "Programs that follow the exchange addressbook, files that were exported and backups are copies outside "
    "this database."
)


@dataclass(frozen=True)
class Section:
    """A table with rows about people, and the columns by which one person's are found."""

    table: Table
    columns: Sequence[Column[Any]]
    purpose: str
    kept: str
    group: Column[Any] | None = None
    """The column with the id of a group, whose name is told beside."""


SECTIONS = (
    Section(
        contacts,
        [contacts.c.object_id],
        "The person as the directory has it, and the number that messages go to.",
        "Until the person leaves the directory or the tenant is removed.",
    ),
    Section(
        memberships,
        [memberships.c.member_id],
        "The groups, so that messages to a group reach the person. Ids alone; the name of the group is told beside.",
        "Until it ends. Of somebody who left the id stays for 30 days and until the next full sync: who is restored in "
        "Microsoft Entra is in the group again.",
        memberships.c.group_id,
    ),
    Section(
        scope_members,
        [scope_members.c.member_id],
        "A group of the tenant's scope reaches the person, who so belongs in the address book. The id alone.",
        "Until no group of the scope does.",
    ),
    Section(
        changes,
        [changes.c.object_id, changes.c.member_id],
        "What happened when and why, for whoever has to answer for it: ids and names of fields, never values.",
        "ENTRA_SMS_CHANGES_DAYS.",
        changes.c.object_id,
    ),
    Section(
        held_removals,
        [held_removals.c.object_id],
        "The person is to be removed, and an operator has to agree first since so many are.",
        "Until that is decided.",
    ),
    Section(
        rechecks,
        [rechecks.c.object_id],
        "A note to read the person again, since the directory told only a part.",
        "Until that is done, mostly a few seconds.",
    ),
)
"""Found by the columns that can hold an object id."""

OF_OPERATORS = (
    Section(
        commands,
        [commands.c.asked],
        "What an operator asked to be read anew: the object id alone.",
        "30 days after it was done.",
    ),
    Section(
        results,
        [results.c.body, results.c.summary],
        "What came of it: the object id alone.",
        "30 days.",
    ),
)
"""Found by the object id anywhere in the text of the columns."""


def everything_about(connection: Connection, tenant: Tenant, object_id: str, now: datetime) -> dict[str, Any]:
    """Return the rows of every table that are about the person, as of `now`; tables without such rows are told too."""
    stored = [_told(connection, tenant, one, _equals(one, object_id)) for one in SECTIONS]
    stored += [_told(connection, tenant, one, _mentions(one, object_id)) for one in OF_OPERATORS]
    return {
        "tenant_id": tenant.tenant_id,
        "tenant": tenant.name,
        "object_id": object_id,
        "at": to_text(now),
        "stored": stored,
        "elsewhere": ELSEWHERE,
    }


def _told(connection: Connection, tenant: Tenant, section: Section, condition: ColumnElement[bool]) -> dict[str, Any]:
    query = select(section.table).where(condition)
    if section.group is not None:
        team = and_(groups.c.tenant_id == section.table.c.tenant_id, groups.c.object_id == section.group)
        query = query.add_columns(groups.c.display_name.label("group_name")).join_from(
            section.table, groups, team, isouter=True
        )
    if "tenant_id" in section.table.c:
        # Null: a result of several tenants.
        query = query.where(or_(section.table.c.tenant_id == tenant.tenant_id, section.table.c.tenant_id.is_(None)))
    rows = connection.execute(query.order_by(*section.table.primary_key.columns)).mappings()
    return {
        "table": section.table.name,
        "purpose": section.purpose,
        "kept": section.kept,
        "rows": [{str(name): value for name, value in row.items()} for row in rows],
    }


def _equals(section: Section, object_id: str) -> ColumnElement[bool]:
    return or_(*(column == object_id for column in section.columns))


def _mentions(section: Section, object_id: str) -> ColumnElement[bool]:
    return or_(*(cast(column, Text).contains(object_id) for column in section.columns))
