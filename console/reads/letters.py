"""Comparing texts without regard to case, the same on both databases.

Both sides go through the database's own `lower`; SQLite is taught one that knows all letters (`teach`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, event, func, literal

from common.db.engine import Database

ESCAPE = "\\"


def teach(database: Database) -> None:
    """Give SQLite a `lower` that knows all letters: its own folds A to Z only, and people are called Łukasz."""
    if database.is_sqlite:
        event.listen(database.engine, "connect", _teach)


def equals(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    return func.lower(column) == func.lower(literal(text))


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    escaped = text.replace(ESCAPE, ESCAPE * 2).replace("%", f"{ESCAPE}%").replace("_", f"{ESCAPE}_")
    return func.lower(column).like(func.lower(literal(f"%{escaped}%")), escape=ESCAPE)


def _teach(connection: Any, _record: Any) -> None:
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text
