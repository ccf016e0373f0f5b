"""Whom the groups of a tenant's scope reach: kept as ids, and followed when groups or memberships change.

The stream of the groups only marks, in the transaction of the change, that others may be reached (`Writer.record`). The
stream of the people follows (`worker.rechecks`): who is reached now is read himself from Graph, since his own stream
says nothing of that; who is reached no longer leaves the book. Table `scope_members` belongs to the people's stream.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    SelectBase,
    Subquery,
    and_,
    delete,
    except_,
    exists,
    insert,
    literal,
    or_,
    select,
)

from common.db import members
from common.db.engine import Database, batches
from common.db.tables import contacts, rechecks, scope_members
from common.messages import Stream
from common.scope import Scope
from worker.book import Writer
from worker.removal_guard import is_held

READS_LIMIT = 500
"""If more people than this are reached at once, all are read in a full round: that asks Graph less often."""


def reached_among(writer: Writer, object_ids: Sequence[str]) -> set[str]:
    """Return those of `object_ids` whom the groups of the scope reach; nobody if it names no groups."""
    if not writer.scope.group_ids:
        return set()
    found: set[str] = set()
    for batch in batches(object_ids):
        query = select(scope_members.c.member_id).where(_mine(writer.tenant_id), scope_members.c.member_id.in_(batch))
        found.update(writer.connection.scalars(query))
    return found


def is_marked(database: Database, tenant_id: str) -> bool:
    """Tell whether the reach of the tenant's scope is still to be followed."""
    with database.read() as connection:
        return connection.scalar(select(literal(1)).where(exists().where(_mark(tenant_id)))) is not None


def forget_mark(connection: Connection, tenant_id: str) -> None:
    connection.execute(delete(rechecks).where(_mark(tenant_id)))


def renew(connection: Connection, tenant_id: str, scope: Scope) -> None:
    """Make `scope_members` what the groups of `scope` reach; the transaction holds the lease of the people's stream."""
    gone = scope_members.c.member_id.in_(_gone(tenant_id, scope))
    connection.execute(delete(scope_members).where(_mine(tenant_id), gone))
    if scope.group_ids:
        came = _came(tenant_id, scope)
        new = select(literal(tenant_id, scope_members.c.tenant_id.type), came.c.member_id)
        connection.execute(insert(scope_members).from_select(["tenant_id", "member_id"], new))


def entering(writer: Writer) -> list[str]:
    """Return who is reached and was not before, if he has to be read: he is not in the book, or is to leave it.

    There are one more than `READS_LIMIT` if there are too many.
    """
    if not writer.scope.group_ids:
        return []
    person = _came(writer.tenant_id, writer.scope).c.member_id
    in_book = exists().where(contacts.c.tenant_id == writer.tenant_id, contacts.c.object_id == person)
    to_be_read = or_(~in_book, is_held(person, writer.tenant_id))
    return list(writer.connection.scalars(select(person).where(to_be_read).order_by(person).limit(READS_LIMIT + 1)))


def leaving(writer: Writer) -> list[str]:
    """Return who in the book was reached, and is no longer."""
    gone = contacts.c.object_id.in_(_gone(writer.tenant_id, writer.scope))
    query = select(contacts.c.object_id).where(contacts.c.tenant_id == writer.tenant_id, gone)
    return list(writer.connection.scalars(query.order_by(contacts.c.object_id)))


# Differences of whole sets: where a statement asks of each person whether he is among the others, and PostgreSQL takes
# these for few, it looks through all of them each time.


def _came(tenant_id: str, scope: Scope) -> Subquery:
    """Return as `member_id` whom the groups of `scope`, which names some, reach and did not before."""
    reached = members.people_within(tenant_id, *scope.group_ids)
    return except_(reached, select(scope_members.c.member_id).where(_mine(tenant_id))).subquery()


def _gone(tenant_id: str, scope: Scope) -> SelectBase:
    """Return the ids of those whom the groups of `scope` do not reach, and did before."""
    known = select(scope_members.c.member_id).where(_mine(tenant_id))
    return except_(known, members.people_within(tenant_id, *scope.group_ids)) if scope.group_ids else known


def _mine(tenant_id: str) -> ColumnElement[bool]:
    return scope_members.c.tenant_id == tenant_id


def _mark(tenant_id: str) -> ColumnElement[bool]:
    return and_(rechecks.c.tenant_id == tenant_id, rechecks.c.stream == Stream.USERS, rechecks.c.what == "scope")
