"""The visible book in pages, for a consumer that begins: each page is read by itself, so that nobody is held up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, select, tuple_

from common import events
from common.db import published
from common.db.engine import Database
from common.db.tables import Guid, changes, contacts, groups, memberships, streams

ROWS_AT_ONCE = 500
BEFORE_ALL = "00000000-0000-0000-0000-000000000000"

Page = list[dict[str, Any]]


def horizon(database: Database, tenant_id: str) -> int:
    """Return a number which all changes of the tenant until now have at most, and all later ones exceed.

    The streams are locked for the moment in which it is read: a worker numbers its changes before it commits them.
    """
    mine = select(streams.c.stream).where(streams.c.tenant_id == tenant_id)
    with database.write() as connection:
        # Users before groups, as a worker locks them that notes something for the other stream.
        connection.execute(mine.order_by(streams.c.stream.desc()).with_for_update()).all()
        return int(connection.scalar(select(func.max(changes.c.sequence))) or 0)


def groups_of(database: Database, tenant_id: str) -> Iterator[Page]:
    """Yield the groups as consumers see them, ordered by id."""
    return _objects(database, groups, tenant_id, events.group)


def contacts_of(database: Database, tenant_id: str) -> Iterator[Page]:
    """Yield the people as consumers see them, ordered by id."""
    return _objects(database, contacts, tenant_id, events.contact)


def memberships_of(database: Database, tenant_id: str) -> Iterator[Page]:
    """Yield the memberships as consumers see them, ordered by the ids of group and member."""
    key = tuple_(memberships.c.group_id, memberships.c.member_id)
    query = select(memberships.c.group_id, memberships.c.member_id, memberships.c.member_type).where(
        memberships.c.tenant_id == tenant_id, published.is_published()
    )

    def read(connection: Connection, last: Sequence[str]) -> Page:
        page = query.where(key > tuple_(*last, types=[Guid, Guid])).order_by(
            memberships.c.group_id, memberships.c.member_id
        )
        return [events.membership(*row) for row in connection.execute(page.limit(ROWS_AT_ONCE))]

    return _pages(database, read, ("group_id", "member_id"))


def _objects(database: Database, table: Table, tenant_id: str, told: Callable[[Any], dict[str, Any]]) -> Iterator[Page]:
    query = select(table).where(table.c.tenant_id == tenant_id).order_by(table.c.object_id).limit(ROWS_AT_ONCE)

    def read(connection: Connection, last: Sequence[str]) -> Page:
        return [told(row) for row in connection.execute(query.where(table.c.object_id > last[0])).mappings()]

    return _pages(database, read, ("object_id",))


def _pages(database: Database, read: Callable[[Connection, Sequence[str]], Page], key: Sequence[str]) -> Iterator[Page]:
    last: Sequence[str] = [BEFORE_ALL] * len(key)
    while True:
        with database.read() as connection:
            page = read(connection, last)
        if not page:
            return
        yield page
        last = [page[-1][name] for name in key]
