"""Exports: rows of a dataclass as CSV, JSON, JSON Lines or vCards, row by row: memory does not grow with the rows.

Text in CSV is harmless to a spreadsheet: what it would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from enum import StrEnum
from typing import Any, TextIO

import orjson

from console import output
from console.vcard import Card

COMMA = ","
LIST_SEPARATOR = "; "
BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""By this alone Excel knows that a CSV file is UTF-8."""
FORMULA_SIGNS = tuple(
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
"""What a cell begins with that a spreadsheet may calculate instead of showing it."""
APOSTROPHE = "'"
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_CRLF = "\r\n"


class Format(StrEnum):
    """How an export is written."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    VCARD = "vcard"


def write(
    rows: Iterable[Any],
    kind: type[Any],
    form: Format,
    *,
    separator: str = COMMA,
    has_mark: bool = False,
    file: TextIO | None = None,
) -> None:
    """Write `rows`, which are of the dataclass `kind`, to `file`, or to stdout.

    Args:
        rows: what is written, in this order.
        kind: its fields are the columns of CSV and the names of JSON; a vCard has those that `Card` knows.
        form: how it is written.
        separator: between the cells of CSV: a comma, a semicolon or a tab.
        has_mark: whether CSV begins with a byte order mark.
        file: takes UTF-8 and leaves line breaks as they are.
    """
    file = file or output.make_stdout_utf8()
    match form:
        case Format.CSV:
            file.write(BYTE_ORDER_MARK if has_mark else "")
            file.writelines(_csv(rows, [field.name for field in fields(kind)], separator))
        case Format.JSON:
            file.writelines(_json(rows))
        case Format.JSONL:
            file.writelines(f"{orjson.dumps(row).decode()}\n" for row in rows)
        case Format.VCARD:
            file.writelines(str(_card(row)) for row in rows)


def harmless_text(text: str) -> str:
    """Return `text` as a spreadsheet shows it without calculating; a number in E.164 stays one, and harms nobody.

    One apostrophe is put before what would be a formula, and before what has apostrophes there already: so whoever
    takes one away has exactly what it was.
    """
    is_formula = text.lstrip(APOSTROPHE).startswith(FORMULA_SIGNS)
    return APOSTROPHE + text if is_formula and not _E164.fullmatch(text) else text


class _Line:
    """A file for `csv.writer` that gives each line back instead of keeping it."""

    @staticmethod
    def write(line: str) -> str:
        return line


def _csv(rows: Iterable[Any], columns: list[str], separator: str) -> Iterator[str]:
    # The writer quotes what is in its line terminator. A lone CR has to be quoted too, although lines end with LF.
    writer = csv.writer(_Line(), delimiter=separator, lineterminator=_CRLF)
    yield _with_lf(writer.writerow(columns))
    for row in rows:
        yield _with_lf(writer.writerow([_cell(getattr(row, column)) for column in columns]))


def _with_lf(line: str) -> str:
    return f"{line.removesuffix(_CRLF)}\n"


def _json(rows: Iterable[Any]) -> Iterator[str]:
    separator = "[\n"
    for row in rows:
        yield separator + orjson.dumps(row).decode()
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _card(row: Any) -> Card:
    return Card(**{field.name: getattr(row, field.name) for field in fields(Card) if hasattr(row, field.name)})


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        value = LIST_SEPARATOR.join(value)
    return harmless_text(value) if isinstance(value, str) else value
