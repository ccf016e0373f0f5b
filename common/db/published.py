"""What of the address book is published: people and groups, and the memberships of which both ends are in the book.

By the rule of `common.db.visible`, and with it by that of every reader: a membership shows while its member is in the
book. Here its group has to be, too, so that a consumer never hears of a membership of something unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, exists, select, tuple_

from common import events
from common.db.engine import batches
from common.db.tables import contacts, groups, memberships
from common.db.visible import is_visible

Key = tuple[str, str]
"""Group id and member id."""


def people(connection: Connection, tenant_id: str, object_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return those among `object_ids` who are in the book, by id, as consumers see them."""
    return {row["object_id"]: events.contact(row) for row in _rows(connection, contacts, tenant_id, object_ids)}


def teams(connection: Connection, tenant_id: str, object_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return those groups among `object_ids` that are in the book, by id, as consumers see them."""
    return {row["object_id"]: events.group(row) for row in _rows(connection, groups, tenant_id, object_ids)}


def groups_by_member(connection: Connection, tenant_id: str, member_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of the groups whose direct members these people and groups are; nothing for who is in none."""
    found: dict[str, list[str]] = {}
    for batch in batches(sorted(member_ids)):
        query = select(memberships.c.member_id, memberships.c.group_id).where(
            memberships.c.tenant_id == tenant_id, memberships.c.member_id.in_(batch), is_published()
        )
        for member_id, group_id in connection.execute(query.order_by(memberships.c.group_id)):
            found.setdefault(member_id, []).append(group_id)
    return found


def member_types(connection: Connection, tenant_id: str, keys: Collection[Key]) -> dict[Key, str]:
    """Return the type of the member, for those memberships among `keys` that are published."""
    found: dict[Key, str] = {}
    for batch in batches(sorted(keys)):
        query = select(memberships.c.group_id, memberships.c.member_id, memberships.c.member_type).where(
            memberships.c.tenant_id == tenant_id,
            tuple_(memberships.c.group_id, memberships.c.member_id).in_(batch),
            is_published(),
        )
        found |= {(row.group_id, row.member_id): row.member_type for row in connection.execute(query)}
    return found


def is_published() -> ColumnElement[bool]:
    """Return the condition under which consumers know of a row of `memberships`."""
    team = groups.alias()  # the statement around this may read groups itself
    in_book = exists().where(team.c.tenant_id == memberships.c.tenant_id, team.c.object_id == memberships.c.group_id)
    return and_(is_visible(), in_book)


def _rows(
    connection: Connection, table: Table, tenant_id: str, object_ids: Collection[str]
) -> Iterator[dict[str, Any]]:
    for batch in batches(sorted(object_ids)):
        query = select(table).where(table.c.tenant_id == tenant_id, table.c.object_id.in_(batch))
        yield from map(dict, connection.execute(query).mappings())
