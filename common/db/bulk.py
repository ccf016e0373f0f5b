"""Many rows at once: what takes SQLAlchemy longest is to handle them one by one, and a page has hundreds.

PostgreSQL gets them as one parameter, a JSON text that it takes apart itself: one statement, however many rows. To look
for many rows SQLite does the same; to insert them its driver's own loop is faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    Connection,
    Dialect,
    FromClause,
    Insert,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    insert,
    select,
)

ROWS = "rows"
"""The parameter of a statement that names `listed_rows`."""

Row = Mapping[str, Any]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row], **same: object) -> None:
    """Insert `rows`, which all have the same columns; `same` are those that have one value for all of them."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        columns = (*same, *rows[0])
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - our own names
        connection.exec_driver_sql(statement, _tuples(connection.dialect, table, rows, same))
        return
    connection.execute(_insertion(table, tuple(rows[0]), tuple(same)), {ROWS: as_parameter(rows), **same})


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


def _tuples(dialect: Dialect, table: Table, rows: Sequence[Row], same: Row) -> list[tuple[Any, ...]]:
    """Return `rows`, after what is the `same` in all of them, as SQLite stores their values."""
    whole = [*same.values()]
    for at, name in enumerate(same):
        make = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
        whole[at] = make(whole[at]) if make else whole[at]
    names = [(name, isinstance(table.c[name].type, JSON)) for name in rows[0]]
    return [(*whole, *(_stored_list(row[name]) if is_list else row[name] for name, is_list in names)) for row in rows]


def _stored_list(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


@cache
def _insertion(table: Table, names: tuple[str, ...], same: tuple[str, ...]) -> Insert:
    rows = _listed("postgresql", table, *names)
    values = [bindparam(name, type_=table.c[name].type) for name in same]
    return insert(table).from_select([*same, *names], select(*values, *(rows.c[name] for name in names)))
