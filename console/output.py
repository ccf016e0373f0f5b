"""Everything that is printed: data and results on stdout, everything else on stderr.

Text from the directory is written by strangers: it is shown without markup and without control characters.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

GAP = 2
"""Spaces between the columns of a table."""
REPLACED = "\N{REPLACEMENT CHARACTER}"
WIDTH_OF_A_PIPE = 4_000
"""Nothing is wrapped or cut for a program that reads along."""


def stdout() -> Console:
    return _console(sys.stdout)


def stderr() -> Console:
    return _console(sys.stderr)


def say(text: str | Text = "") -> None:
    """Print a result."""
    _print(stdout(), text)


def note(text: str | Text = "") -> None:
    """Print something about the work, which is no part of its result."""
    _print(stderr(), text)


def warn(text: str) -> None:
    note(Text.assemble(("Warning: ", "yellow"), harmless(text)))


def complain(text: str) -> None:
    """Print why the command could not do its work."""
    note(Text.assemble(("Error: ", "bold red"), harmless(text)))


def tick(*, works: bool) -> Text:
    """Return a tick or a cross, in letters where the terminal has no such signs."""
    mark, word, style = ("✓", "ok", "green") if works else ("✗", "NO", "bold red")
    return Text(mark if _can_show(mark) else word, style)


def shown(value: object) -> str:
    """Return a foreign value as one line that cannot steer a terminal; nothing is a dash."""
    return " ".join(harmless(str(value)).splitlines()) if value is not None and value != "" else "-"


def harmless(text: str) -> str:
    """Return `text` with its lines, but without anything that could steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else REPLACED for letter in text)


def number(count: int) -> str:
    return f"{count:,}"


def plural(count: int, one: str, many: str = "") -> str:
    """Return e.g. ``1 person`` or ``1,204 people``."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print an aligned table, on stdout unless told otherwise."""
    console = console or stdout()
    _print_without_trailing_spaces(grid_of(headings, rows, right=right, whole=whole, width=console.width), console)


def grid_of(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
    width: int,
) -> Table:
    """Return an aligned table of so many letters at most, a line a row.

    What there is no room for is cut, except for ids and the columns `right` (of numbers) and `whole`.
    """
    cells = [[cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row] for row in rows]
    longest = [max([len(heading), *(row[at].cell_len for row in cells)]) for at, heading in enumerate(headings)]
    shortest = [
        longest[at] if heading in (*right, *whole) or heading.endswith(" ID") else len(heading)
        for at, heading in enumerate(headings)
    ]
    widths = fitting(longest, shortest, width - GAP * (len(headings) - 1))
    grid = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for heading, letters in zip(headings, widths, strict=True):
        grid.add_column(
            heading,
            justify="right" if heading in right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=letters,
        )
    for row in cells:
        grid.add_row(*row)
    return grid


def facts(pairs: Iterable[tuple[str, str | Text]]) -> None:
    """Print a name and a value a line, aligned; a long value goes on below itself."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(Text(name, "bold"), value if isinstance(value, Text) else Text(harmless(value) or "-"))
    _print_without_trailing_spaces(grid, stdout())


def item(mark: Text, text: str) -> None:
    """Print a mark and what it is about, at once; what has no room on a line goes on below itself."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text.assemble("  ", mark), Text(harmless(text)))
    _print_without_trailing_spaces(grid, stdout())
    sys.stdout.flush()


def fitting(longest: Sequence[int], shortest: Sequence[int], room: int) -> list[int]:
    """Return the lengths of things that share `room`: the longest is cut first, none below its `shortest`."""
    lengths = list(longest)
    while sum(lengths) > room:
        longer = [(length, at) for at, length in enumerate(lengths) if length > shortest[at]]
        if not longer:
            break
        lengths[max(longer)[1]] -= 1
    return lengths


def make_stdout_utf8() -> TextIO:
    """Return stdout for exported data, which is UTF-8 whatever the terminal speaks."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    return sys.stdout


def tolerate_narrow_encodings() -> None:
    """Let a letter that the terminal cannot show become a question mark instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _console(file: TextIO) -> Console:
    width = None if file.isatty() else WIDTH_OF_A_PIPE
    return Console(file=file, width=width, markup=False, highlight=False, emoji=False)


def _print(console: Console, text: str | Text) -> None:
    console.print(text if isinstance(text, Text) else Text(text), soft_wrap=not console.is_terminal)


def _print_without_trailing_spaces(grid: Table, console: Console) -> None:
    with console.capture() as captured:
        console.print(grid)
    console.file.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())


def _can_show(letter: str) -> bool:
    try:
        letter.encode(sys.stderr.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
