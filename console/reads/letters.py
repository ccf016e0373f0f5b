"""Comparing texts without regard to case, the same on both databases: letter by letter, as Unicode says.

Both sides go through the database's own `lower`; SQLite is taught one that knows all letters (`teach`). That is slow,
so a pattern is tried before it in which only letters from A to Z count: both databases compare these quickly.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, event, func, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from common.db.engine import Database

ESCAPE = "\\"
ANY_LETTER = "_"
SHARED = "ik"
"""Letters that others become as well when they are made small: the dotted capital I, and the Kelvin sign."""
_AS_POSTGRESQL = str.maketrans({"İ": "i", "\N{GREEK CAPITAL LETTER SIGMA}": "\N{GREEK SMALL LETTER SIGMA}"})
"""Python would make two letters of the one, and another letter of the other where it ends a word."""


def teach(database: Database) -> None:
    """Give SQLite a `lower` that knows all letters: its own folds A to Z only, and people are called Łukasz."""
    if database.is_sqlite:
        event.listen(database.engine, "connect", _teach)


def equals(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    return _also_exactly(column, text, _pattern(text), func.lower(column) == func.lower(literal(text)))


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    anywhere = f"%{_pattern(text)}%"
    if all(map(_is_certain, text)):
        return _like(column, anywhere)
    exact = func.lower(column).like(func.lower(literal(f"%{_escaped(text)}%")), escape=ESCAPE)
    return _also_exactly(column, text, anywhere, exact)


class _Latin(FunctionElement[str]):
    """A text as LIKE compares it with a pattern in small letters, whatever the case of A to Z; other letters differ."""

    inherit_cache = True


@compiles(_Latin, "sqlite")
def _latin_in_sqlite(element: _Latin, compiler: SQLCompiler, **named: Any) -> str:
    return compiler.process(element.clauses, **named)  # its LIKE does not look at the case of A to Z anyway


@compiles(_Latin, "postgresql")
def _latin_in_postgresql(element: _Latin, compiler: SQLCompiler, **named: Any) -> str:
    return f'lower({compiler.process(element.clauses, **named)} COLLATE "C")'


def _also_exactly(
    column: ColumnElement[Any], text: str, pattern: str, exact: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Return `exact`, tried only where the pattern fits, unless it fits nearly everywhere."""
    return and_(_like(column, pattern), exact) if any(map(_is_certain, text)) else exact


def _like(column: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    has_letters = pattern != pattern.upper()
    return (_Latin(column) if has_letters else column).like(pattern, escape=ESCAPE)


def _pattern(text: str) -> str:
    """Return what LIKE finds wherever `text` is, and elsewhere too if not all of its letters are certain."""
    return "".join(_escaped(letter.lower()) if _is_certain(letter) else ANY_LETTER for letter in text)


def _is_certain(letter: str) -> bool:
    """Whether nothing else is taken for the letter but itself and, of A to Z, the other case."""
    return letter.isascii() and letter.lower() not in SHARED


def _escaped(text: str) -> str:
    return text.replace(ESCAPE, ESCAPE * 2).replace("%", f"{ESCAPE}%").replace(ANY_LETTER, ESCAPE + ANY_LETTER)


def _teach(connection: Any, _record: Any) -> None:
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: object) -> object:
    if not isinstance(text, str):
        return text
    return text.lower() if text.isascii() else text.translate(_AS_POSTGRESQL).lower()
