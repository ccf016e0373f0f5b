"""Going through all people of a tenant, where no index tells who is wanted.

An index leads through a large book in the order of its ids, to a row in another place each time (`common.db.scan`). So
only the next people are looked at by id, among whom there are enough if many are wanted, and all others as they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, select

from common.db.scan import is_read_as_it_lies, without_index
from common.db.tables import contacts

BY_ID = 20_000
"""So many people are looked at by id."""

_person = contacts.c


def everybody(connection: Connection, tenant_id: str, *, after: str | None = None) -> list[ColumnElement[bool]]:
    """Return the conditions of a statement that goes through all people of a tenant, or all after an object id."""
    as_they_lie = is_read_as_it_lies(connection, contacts, tenant_id)
    tenant, object_id = (
        without_index(column) if as_they_lie else column for column in (_person.tenant_id, _person.object_id)
    )
    return [tenant == tenant_id, *([object_id > after] if after is not None else [])]


def first_by_id(
    connection: Connection,
    tenant_id: str,
    columns: Sequence[ColumnElement[Any]],
    conditions: Sequence[ColumnElement[bool]],
    after: str | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return `columns`, among them the object id, of the first people after an object id, ordered by object id."""
    mine = [_person.tenant_id == tenant_id, *([_person.object_id > after] if after is not None else [])]
    last = connection.scalar(
        select(_person.object_id).where(*mine).order_by(_person.object_id).offset(BY_ID - 1).limit(1)
    )
    near = [_person.object_id <= last] if last is not None else []
    by_id = select(*columns).where(*mine, *near, *conditions).order_by(_person.object_id).limit(limit)
    found = connection.execute(by_id).mappings().all()
    if last is None or len(found) == limit:
        return found
    # PostgreSQL would take the index here too, in the hope to meet enough soon, were this not put in order afterwards.
    others = select(*columns).where(*everybody(connection, tenant_id, after=last), *conditions).cte()
    others = others.prefix_with("MATERIALIZED", dialect="postgresql")
    more = select(others).order_by(others.c.object_id).limit(limit - len(found))
    return [*found, *connection.execute(more).mappings()]
