"""`python -m benchmarks`: measures, prints a table, and writes it as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import click

from benchmarks import full_round


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Fewer people and repetitions: an impression in a few seconds.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the results there as JSON.")
def main(quick: bool, output: Path | None) -> None:
    """Measure the worker against floors, side by side in one run. Ratios, not seconds: machines differ."""
    results = full_round.measure(users=2_000 if quick else 10_000, repetitions=3 if quick else 5)
    for row in results:
        low, high = row["spread"]
        click.echo(f"{row['name']:<45} {row['value']:6.2f} {row['unit']} ({low:.2f} to {high:.2f}), {row['against']}")
    if output:
        output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
