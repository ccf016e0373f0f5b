"""Going through all rows of a tenant, where no index tells which of them are wanted.

PostgreSQL knows by itself how it reads them best. SQLite would always take an index, which leads through a large table
to a row in another place each time: to read the rows as they lie takes a fifth of that, of memberships a twentieth.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, UnaryExpression, func, literal_column, select
from sqlalchemy.sql.operators import custom_op

SHARE = 4
"""A tenant with less than this part of the rows in SQLite's table is not looked for among all of them."""


def rows_of(connection: Connection, table: Table, tenant_id: str) -> ColumnElement[bool]:
    """Return the condition of a statement that goes through all rows of a tenant."""
    column = table.c.tenant_id
    return (without_index(column) if is_read_as_it_lies(connection, table, tenant_id) else column) == tenant_id


def is_read_as_it_lies(connection: Connection, table: Table, tenant_id: str) -> bool:
    """Whether all rows of a tenant are better found among those of all tenants than by an index of SQLite's."""
    if connection.dialect.name != "sqlite":
        return False
    last_row = connection.scalar(select(func.max(literal_column("rowid"))).select_from(table)) or 0
    share = select(table.c.tenant_id).where(table.c.tenant_id == tenant_id).offset(last_row // SHARE).limit(1)
    return connection.scalar(share) is not None


def without_index(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the column so that SQLite uses no index for a condition on it."""
    return UnaryExpression(column, operator=custom_op("+"))
