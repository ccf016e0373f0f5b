"""Where figures are kept: `benchmarks/results.json`, and the tables of `docs/performance.md` that are made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.figure import Effort, Figure

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "performance.md"

_TABLE = re.compile(r"(<!-- table of (?P<benchmark>[a-z_]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_HEAD = "| What | Figure | Spread | Unit | Against | Aim | Met |\n| --- | ---: | --- | --- | --- | --- | --- |\n"
_MET = {True: "yes", False: "no", None: ""}


def read() -> list[Figure]:
    return [Figure.from_json(fields) for fields in json.loads(RESULTS.read_text())] if RESULTS.exists() else []


def merged(kept: Iterable[Figure], measured: Sequence[Figure], effort: Effort) -> list[Figure]:
    """Return `kept` with what was measured anew in its place.

    Of a benchmark that was measured in full nothing older stays; else what only the full one measures does.
    """
    fresh = {figure.name: figure for figure in measured}
    whole = {figure.benchmark for figure in measured} if effort is Effort.FULL else set()
    found = {figure.name: figure for figure in kept if figure.benchmark not in whole} | fresh
    return sorted(found.values(), key=lambda figure: figure.benchmark)  # a stable sort: else as they were measured


def write(figures: Sequence[Figure]) -> None:
    lines = ",\n".join(json.dumps(figure.as_json(), ensure_ascii=False) for figure in figures)
    RESULTS.write_text(f"[\n{lines}\n]\n")


def with_tables(page: str, figures: Iterable[Figure]) -> str:
    """Return `page` with each of its tables as the figures have it."""
    found = list(figures)

    def made(match: re.Match[str]) -> str:
        rows = [_row(figure) for figure in found if figure.benchmark == match["benchmark"]]
        return "".join((match[1], _HEAD, *rows, match[3]))

    return _TABLE.sub(made, page)


def tables_in(page: str) -> list[str]:
    """Return the benchmarks that have a table in `page`."""
    return [match["benchmark"] for match in _TABLE.finditer(page)]


def _row(figure: Figure) -> str:
    what = figure.name.partition(": ")[2]
    low, high = figure.spread
    cells = (
        *(what, f"{figure.value:g}", f"{low:g} to {high:g}", figure.unit, figure.against),
        *("" if figure.aim is None else str(figure.aim), _MET[figure.met]),
    )
    return f"| {' | '.join(cells)} |\n"
