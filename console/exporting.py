"""Exports: rows of a dataclass as CSV or as one JSON array, on stdout, row by row."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import fields
from enum import StrEnum
from typing import Any

import orjson

from console import output


class Format(StrEnum):
    """How an export is written."""

    CSV = "csv"
    JSON = "json"


def write(rows: Iterable[Any], kind: type[Any], form: Format) -> None:
    """Write `rows`, which are of the dataclass `kind`; its fields are the columns."""
    if form is Format.CSV:
        _write_csv(rows, [field.name for field in fields(kind)])
    else:
        _write_json(rows)


def _write_csv(rows: Iterable[Any], columns: list[str]) -> None:
    writer = csv.writer(output.make_stdout_utf8(), lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(getattr(row, column)) for column in columns])


def _write_json(rows: Iterable[Any]) -> None:
    file = output.make_stdout_utf8()
    separator = "[\n"
    for row in rows:
        file.write(separator + orjson.dumps(row).decode())
        separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
