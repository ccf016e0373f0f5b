"""What was measured is written down as it was: figures have their shape, and the documented tables are theirs."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import benchmarks.__main__ as command
from benchmarks import results
from benchmarks.__main__ import BENCHMARKS
from benchmarks.figure import Effort, Figure, at_least, at_most
from benchmarks.memory import peak_mib

KEYS = ["name", "unit", "value", "spread", "aim", "met", "against"]


def written() -> Iterator[dict[str, object]]:
    yield from json.loads(results.RESULTS.read_text())


def test_every_benchmark_has_a_name_of_its_own_a_sentence_and_a_table() -> None:
    names = [benchmark.NAME for benchmark in BENCHMARKS]
    assert len(set(names)) == len(names)
    assert results.tables_in(results.PAGE.read_text()) == names
    for benchmark in BENCHMARKS:
        assert re.fullmatch(r"[a-z_]+", benchmark.NAME)
        assert benchmark.DESCRIPTION.endswith(".")


def test_the_results_have_their_shape_and_name_each_figure_once() -> None:
    rows = list(written())
    assert {benchmark.NAME for benchmark in BENCHMARKS} == {str(row["name"]).partition(": ")[0] for row in rows}
    assert len({row["name"] for row in rows}) == len(rows)
    for row in rows:
        assert list(row) == KEYS
        assert Figure.from_json(row).as_json() == row, "its aim and whether it is met do not belong together"
        low, high = row["spread"]  # type: ignore[misc]
        assert low <= row["value"] <= high  # type: ignore[has-type]
        assert row["unit"]
        assert row["against"]


def test_the_tables_of_the_documentation_say_what_the_results_say() -> None:
    page = results.PAGE.read_text()
    assert results.with_tables(page, results.read()) == page


def figure(name: str, value: float = 1.0) -> Figure:
    return Figure.of(name, "times the floor", [value], against="a floor")


def test_a_figure_is_the_median_and_its_spread_and_meets_its_aim_or_not() -> None:
    found = Figure.of("webhook: a", "times", [0.91234, 0.5, 0.7], against="b", aim=at_least(0.7))
    assert (found.value, found.spread, found.met) == (0.7, (0.5, 0.912), True)
    assert not Figure.of("webhook: a", "times", [0.69], against="b", aim=at_least(0.7)).met
    assert not Figure.of("webhook: a", "ms", [51.0], against="b", aim=at_most(50)).met
    assert figure("webhook: a").met is None


@pytest.mark.parametrize(
    ("effort", "kept"),
    [
        (Effort.ORDINARY, {"a: one": 7.0, "a: only when in full": 1.0, "b: one": 1.0}),
        (Effort.FULL, {"a: one": 7.0, "b: one": 1.0}),
    ],
)
def test_what_is_measured_anew_takes_its_place_among_the_others(
    effort: Effort, kept: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results.json")
    before = [figure("a: only when in full"), figure("a: one"), figure("b: one")]
    results.write(results.merged(before, [figure("a: one", 7.0)], effort))
    assert {one.name: one.value for one in results.read()} == kept


class Measured:
    """A benchmark that takes no time."""

    NAME = "swift"
    DESCRIPTION = "nothing, against nothing."

    def measure(self, effort: Effort) -> list[Figure]:
        return [figure("swift: one", 3.0 if effort is Effort.FULL else 2.0)]


@pytest.mark.parametrize(("options", "value"), [([], 2.0), (["--full"], 3.0), (["--quick"], None)])
def test_a_run_writes_its_figures_and_their_table_unless_it_is_quick(
    options: list[str], value: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- table of swift -->\n<!-- end of table -->\nafter\n")
    monkeypatch.setattr(results, "PAGE", page)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(command, "_BY_NAME", {"swift": Measured()})

    done = CliRunner().invoke(command.main, options, catch_exceptions=False)
    assert "swift: one" in done.output
    assert [one.value for one in results.read()] == ([] if value is None else [value])
    assert (f"| one | {value:g} |" if value else "table of swift -->\n<!-- end") in page.read_text()


BALLAST_MIB = 200


def test_a_program_started_by_a_large_one_is_not_counted_as_large() -> None:
    ballast = bytearray(b"x") * (BALLAST_MIB << 20)
    says = "from benchmarks.memory import peak_mib; print(peak_mib())"
    child = subprocess.run([sys.executable, "-c", says], capture_output=True, text=True, check=True)
    assert 0 < float(child.stdout) < BALLAST_MIB / 2
    assert peak_mib() > BALLAST_MIB == len(ballast) >> 20
