"""Many rows as one parameter: a JSON text that the database itself takes apart, in one statement for all of them.

So neither SQLAlchemy nor the driver handles them one by one, and while the database does, other threads of this process
run. A page of a full round is several hundred rows of several tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import JSON, Connection, FromClause, Insert, Table, Text, bindparam, cast, column, func, insert, select

ROWS = "rows"
"""The parameter of a statement that names `listed_rows`."""

Row = Mapping[str, Any]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row], **same: object) -> None:
    """Insert `rows`, which all have the same columns; `same` are those that have one value for all of them."""
    if rows:
        statement = _insertion(connection.dialect.name, table, tuple(rows[0]), tuple(same))
        connection.execute(statement, {ROWS: as_parameter(rows), **same})


def as_parameter(rows: Sequence[Row]) -> str:
    """Return the parameter `ROWS` of a statement that names `listed_rows`; dates are no values here."""
    return orjson.dumps(rows).decode()


def listed_rows(connection: Connection, table: Table, *names: str) -> FromClause:
    """Return the rows of the parameter `ROWS` as a table, with columns `names` of the types that `table` has.

    To be asked for with IN: SQLite would take a join from the wrong side.
    """
    return _listed(connection.dialect.name, table, *names)


@cache
def _listed(dialect: str, table: Table, *names: str) -> FromClause:
    rows = bindparam(ROWS, type_=Text)
    if dialect == "sqlite":
        each = func.json_each(rows).table_valued("value", name="each_row")
        parts = [func.json_extract(each.c.value, f"$.{name}", type_=_stored(table, name)).label(name) for name in names]
        return select(*parts).subquery("listed")
    typed = [column(name, table.c[name].type) for name in names]
    return func.json_to_recordset(cast(rows, JSON)).table_valued(*typed, name="listed").render_derived(with_types=True)


def _stored(table: Table, name: str) -> Any:
    """Return the type of what SQLite's JSON functions give: lists come as the text that is stored."""
    kind = table.c[name].type
    return Text() if isinstance(kind, JSON) else kind


@cache
def _insertion(dialect: str, table: Table, names: tuple[str, ...], same: tuple[str, ...]) -> Insert:
    rows = _listed(dialect, table, *names)
    values = [bindparam(name, type_=table.c[name].type) for name in same]
    return insert(table).from_select([*same, *names], select(*values, *(rows.c[name] for name in names)))
