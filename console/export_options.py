"""The options that exports have in common: the format, and where to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from console import exporting
from console.exporting import COMMA, Format
from console.whole_file import whole_file

SEPARATORS = {COMMA: COMMA, ";": ";", "tab": "\t"}
"""What is typed, and what then stands between cells."""


@dataclass(frozen=True)
class Export:
    """How an export is written, and to which file; None: to stdout."""

    form: Format
    separator: str
    has_mark: bool
    file: Path | None

    def write(self, rows: Iterable[Any], kind: type[Any]) -> None:
        """Write `rows`, which are of the dataclass `kind`.

        Raises:
            ConsoleError: the file cannot be written; it is as it was.
        """
        if self.file is None:
            exporting.write(rows, kind, self.form, separator=self.separator, has_mark=self.has_mark)
            return
        with whole_file(self.file) as file:
            exporting.write(rows, kind, self.form, separator=self.separator, has_mark=self.has_mark, file=file)


_OPTIONS = (
    click.option(
        "--format", "form", type=click.Choice(Format, case_sensitive=False), default=Format.CSV, show_default=True
    ),
    click.option(
        "--separator",
        type=click.Choice(list(SEPARATORS)),
        default=COMMA,
        show_default=True,
        help="Between the cells of CSV; Excel wants ';' in Polish, German and many other settings.",
    ),
    click.option("--bom", is_flag=True, help="Begin CSV with a byte order mark: without it Excel spoils letters."),
    click.option(
        "--output",
        "file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write a file that only you can read, whole or not at all, instead of standard output.",
    ),
)


def export_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of exports; it gets them as one argument, `export`."""

    @wraps(command)
    def with_export(*arguments: Any, form: Format, separator: str, bom: bool, file: Path | None, **others: Any) -> Any:
        if form is not Format.CSV and (bom or separator != COMMA):
            raise click.UsageError("--separator and --bom belong to --format csv.")
        return command(*arguments, export=Export(form, SEPARATORS[separator], bom, file), **others)

    decorated: Callable[..., Any] = with_export
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
