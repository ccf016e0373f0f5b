"""Many rows at once: what takes SQLAlchemy longest is to handle them one by one, and a page has hundreds.

PostgreSQL gets them as one parameter, a JSON text that it takes apart itself: one statement, however many rows. To look
for many rows SQLite does the same; to write them its driver's own loop is faster.

Rows are found by their primary key, one by one, whatever PostgreSQL thinks of the table. It would often rather read all
rows of the tenant: of a table that grew a moment ago it knows nothing yet, and of a new tenant nothing at all. So it is
asked in ways that leave it no choice, a LATERAL of one row and ON CONFLICT.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import repeat
from typing import Any

import orjson
from sqlalchemy import (
    JSON,
    Connection,
    Dialect,
    FromClause,
    Insert,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects import postgresql

ROWS = "rows"
"""The parameter of a statement that names listed rows."""

Values = Mapping[str, Any]
"""Of a row, by the names of its columns."""


def find_rows(
    connection: Connection, table: Table, keys: Sequence[Values], *names: str, **same: object
) -> list[dict[str, Any]]:
    """Return columns `names` (all without any) of those rows that `keys` name by the columns of the primary key.

    `same` are those of its columns that have one value for all of them.
    """
    if not keys:
        return []
    wanted = names or tuple(map(str, table.c.keys()))  # orjson takes no subclass of str for a key
    query = _search(connection.dialect.name, table, tuple(keys[0]), tuple(same), wanted)
    found = connection.execute(query, {ROWS: _as_parameter(keys), **same})
    return [dict(zip(wanted, row, strict=True)) for row in found]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Values], **same: object) -> None:
    """Insert `rows`, which all have the same columns; `same` are those that have one value for all of them."""
    _write(connection, table, rows, same, replace=False)


def put_rows(connection: Connection, table: Table, rows: Sequence[Values], **same: object) -> None:
    """Insert `rows` in place of those that are there under the same primary key; no key may be there twice."""
    _write(connection, table, rows, same, replace=True)


def _write(connection: Connection, table: Table, rows: Sequence[Values], same: Values, *, replace: bool) -> None:
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        statement = _sqlite_writing(table, (*same, *rows[0]), replace)
        connection.exec_driver_sql(statement, _tuples(connection.dialect, table, rows, same))
        return
    writing = _writing(table, tuple(rows[0]), tuple(same), replace)
    connection.execute(writing, {ROWS: _as_parameter(rows), **same})


def _as_parameter(rows: Sequence[Values]) -> str:
    return orjson.dumps(rows).decode()  # dates are no values here


@cache
def _search(
    dialect: str, table: Table, key: tuple[str, ...], same: tuple[str, ...], names: tuple[str, ...]
) -> Select[Any]:
    listed = _listed(dialect, table, *key)
    found = select(*(table.c[name] for name in names))
    found = found.where(*(table.c[name] == bindparam(name, type_=table.c[name].type) for name in same))
    if dialect == "sqlite":  # it would take a join from the wrong side
        return found.where(tuple_(*(table.c[name] for name in key)).in_(select(*(listed.c[name] for name in key))))
    one = found.where(*(table.c[name] == listed.c[name] for name in key)).limit(1).lateral("found")
    return select(one).select_from(listed.join(one, true()))


@cache
def _listed(dialect: str, table: Table, *names: str) -> FromClause:
    """Return the rows of the parameter `ROWS` as a table, with columns `names` of the types that `table` has."""
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


def _tuples(dialect: Dialect, table: Table, rows: Sequence[Values], same: Values) -> list[tuple[Any, ...]]:
    """Return `rows`, after what is the `same` in all of them, as SQLite stores their values."""
    whole = [*same.values()]
    for at, name in enumerate(same):
        make = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
        whole[at] = make(whole[at]) if make else whole[at]
    columns: list[Iterable[Any]] = [repeat(value) for value in whole]
    for name in rows[0]:
        values = [row[name] for row in rows]
        columns.append(map(_stored_list, values) if isinstance(table.c[name].type, JSON) else values)
    return list(zip(*columns, strict=False))  # what is the same in all of them has no end


def _stored_list(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


@cache
def _writing(table: Table, names: tuple[str, ...], same: tuple[str, ...], replace: bool) -> Insert:
    rows = _listed("postgresql", table, *names)
    values = [bindparam(name, type_=table.c[name].type) for name in same]
    inserted = postgresql.insert(table).from_select([*same, *names], select(*values, *(rows.c[name] for name in names)))
    if not replace:
        return inserted
    key = table.primary_key.columns.keys()
    others = {name: inserted.excluded[name] for name in (*same, *names) if name not in key}
    return inserted.on_conflict_do_update(index_elements=key, set_=others)


@cache
def _sqlite_writing(table: Table, names: tuple[str, ...], replace: bool) -> str:
    places = ", ".join("?" * len(names))
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})"  # noqa: S608 - our own names
    if not replace:
        return statement
    key = table.primary_key.columns.keys()
    others = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
    return f"{statement} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {others}"
