"""`python -m benchmarks`: measures, prints the figures, writes them down and makes the tables of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import click

from benchmarks import full_round, graph_cost, many_tenants, one_change, reading, results, webhook, workers
from benchmarks.figure import Effort, Figure
from deploy.local.errors import LocalServiceError
from deploy.local.runs import exit_on_signals, say


class Benchmark(Protocol):
    """What a module is that measures something."""

    NAME: str
    """One word of small letters and underscores; the names of its figures begin with it."""
    DESCRIPTION: str
    """What is compared with what, in one sentence."""

    def measure(self, effort: Effort) -> Sequence[Figure]:
        """Return the figures; progress goes to standard error."""


BENCHMARKS: Sequence[Benchmark] = (webhook, full_round, one_change, graph_cost, reading, many_tenants, workers)
_BY_NAME = {benchmark.NAME: benchmark for benchmark in BENCHMARKS}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", multiple=True, type=click.Choice(list(_BY_NAME)), help="This one; the others' figures stay.")
@click.option("--quick", "effort", flag_value=Effort.QUICK, help="An impression in a few minutes; nothing is written.")
@click.option("--full", "effort", flag_value=Effort.FULL, help="Also what takes an hour.")
def main(only: Sequence[str], effort: str | None) -> None:
    """Measure this system against floors and others, side by side in one run.

    Ratios, since machines differ and are noisy. Nothing fails because of a figure.
    """
    exit_on_signals()
    wanted = Effort(effort or Effort.ORDINARY)
    for name in only or _BY_NAME:
        say(f"{name}: {_BY_NAME[name].DESCRIPTION}")
        try:
            figures = _BY_NAME[name].measure(wanted)
        except LocalServiceError as error:
            raise click.ClickException(str(error)) from error
        for figure in figures:
            click.echo(_line(figure))
        if wanted is not Effort.QUICK:
            _keep(figures, wanted)


def _keep(figures: Sequence[Figure], effort: Effort) -> None:
    """Write the figures down as soon as there are some: what comes after them may be interrupted."""
    found = results.merged(results.read(), figures, effort)
    results.write(found)
    results.PAGE.write_text(results.with_tables(results.PAGE.read_text(), found))


def _line(figure: Figure) -> str:
    low, high = figure.spread
    aim = "" if figure.aim is None else f"; aim: {figure.aim}, {'met' if figure.met else 'missed'}"
    return f"{figure.name:<70} {figure.value:>7g} {figure.unit} ({low:g} to {high:g}){aim}"


if __name__ == "__main__":
    main()
