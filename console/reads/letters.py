"""Comparing texts without regard to case, the same on both databases.

Both sides go through the database's own `lower`; the console teaches SQLite one that knows all letters.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, literal

ESCAPE = "\\"


def equals(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    return func.lower(column) == func.lower(literal(text))


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    escaped = text.replace(ESCAPE, ESCAPE * 2).replace("%", f"{ESCAPE}%").replace("_", f"{ESCAPE}_")
    return func.lower(column).like(func.lower(literal(f"%{escaped}%")), escape=ESCAPE)
