"""Full rounds of both streams, from pages over TLS into the database, against a floor that fetches, parses and inserts.

Also against what else there is to pull a directory (`benchmarks/peers`), and how much memory a worker needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.figure import Aim, Effort, Figure, at_least, at_most
from benchmarks.full_round_company import Size
from benchmarks.full_round_scene import DATABASES, Databases, databases, scene
from benchmarks.peers import venv
from benchmarks.turns import take_turns
from deploy.local.runs import Run, say

NAME = "full_round"
DESCRIPTION = "full rounds of ready-made pages over TLS, against the least that a program does that pulls a directory."

TINIEST, TINY, SMALL = Size(200, 20), Size(1_000, 100), Size(10_000, 1_000)
MIDDLE, LARGE = Size(100_000, 10_000), Size(500_000, 20_000)
FLOOR = "a floor: one connection, parse, insert plain rows"
DRIVER = "a floor that inserts as the driver does fastest (COPY, executemany)"
FLOOR_LIMIT = at_most(1.5)
DLT_LEAD = at_least(5)
MSGRAPH_LEAD = at_least(10)
MEMORY_LIMIT_MIB = at_most(150)

Said = dict[str, Any]
Arms = Mapping[str, Callable[[], Said]]

WORKER = ("-m", "benchmarks.full_round_worker", "--again")
PULLERS = {
    "floor": ("-m", "benchmarks.full_round_floor"),
    "driver": ("-m", "benchmarks.full_round_floor", "--way", "driver"),
}


@dataclass(frozen=True)
class Course:
    """A company, how long its Graph takes for each answer, and how often it is pulled."""

    size: Size
    latency_ms: int
    repetitions: int

    @property
    def title(self) -> str:
        return f"{self.size.people:,} people, {self.latency_ms} ms a request"


COURSES: dict[Effort, Sequence[Course]] = {
    Effort.QUICK: (Course(TINY, 0, 3),),
    Effort.ORDINARY: (Course(SMALL, 0, 5), Course(SMALL, 20, 5)),
    Effort.FULL: (
        *(Course(SMALL, latency_ms, 5) for latency_ms in (0, 20, 100)),
        *(Course(MIDDLE, latency_ms, 5) for latency_ms in (0, 20)),
        Course(LARGE, 0, 1),
    ),
}


def measure(effort: Effort) -> Sequence[Figure]:
    """Return the figures; `Effort.FULL` takes hours."""
    figures: list[Figure] = []
    with Run.claim("full-round") as run, databases(run) as made:
        for course in COURSES[effort]:
            figures += _against_floors(course, made)
        figures += _against_peers(effort, made)
    return figures


def _against_floors(course: Course, made: Databases) -> Iterator[Figure]:
    with scene(course.size, made) as found:
        found.wait_before_answers(course.latency_ms)
        for kind in DATABASES:
            say(f"{course.title}, {kind} ...")
            arms = {name: partial(found.pull, kind, command) for name, command in PULLERS.items()}
            said = take_turns({**arms, "worker": partial(found.pull, kind, WORKER)}, course.repetitions)
            first, again = _seconds(said["worker"]), _seconds(said["worker"], "again_seconds")
            title = f"{course.title}, {kind}"
            yield _ratio(f"first, {title}", first, _seconds(said["floor"]), FLOOR, FLOOR_LIMIT)
            yield _ratio(f"first, {title}, faster floor", first, _seconds(said["driver"]), DRIVER)
            yield _ratio(f"unchanged, {title}", again, _seconds(said["floor"]), FLOOR)
            peaks = [one["peak_mib"] for one in said["worker"]]
            against = "most memory of the worker process at any time"
            yield Figure.of(f"{NAME}: memory, {title}", "MiB", peaks, against=against, aim=MEMORY_LIMIT_MIB)


def _against_peers(effort: Effort, made: Databases) -> Iterator[Figure]:
    """Compare with others: those that are slow with a smaller company."""
    python = venv.prepare()
    repetitions = 3 if effort is Effort.QUICK else 5
    for peer, size, aim in (
        ("dlt", TINY if effort is Effort.QUICK else SMALL, DLT_LEAD),
        ("msgraph-sdk", TINIEST if effort is Effort.QUICK else TINY, MSGRAPH_LEAD),
    ):
        with scene(size, made) as found:
            for kind in DATABASES[:1] if effort is Effort.QUICK else DATABASES:
                say(f"{peer}, {size.people:,} people, {kind} ...")
                arms: Arms = {
                    "peer": partial(found.pull, kind, venv.command(peer), python=python),
                    "worker": partial(found.pull, kind, WORKER[:-1]),
                    "floor": partial(found.pull, kind, PULLERS["floor"]),
                }
                said = take_turns(arms, repetitions)
                title = f"{size.people:,} people, 0 ms a request, {kind}"
                took = _seconds(said["peer"])
                yield _lead(f"first, {title}, {peer}", took, _seconds(said["worker"]), peer, aim)
                yield _lead(f"the floor, {title}, {peer}", took, _seconds(said["floor"]), peer)


def _seconds(said: Sequence[Said], name: str = "seconds") -> list[float]:
    return [float(one[name]) for one in said]


def _ratio(name: str, those: Sequence[float], of: Sequence[float], against: str, aim: Aim | None = None) -> Figure:
    samples = [one / other for one, other in zip(those, of, strict=True)]
    return Figure.of(f"{NAME}: {name}", "times its time", samples, against=against, aim=aim)


def _lead(name: str, theirs: Sequence[float], ours: Sequence[float], against: str, aim: Aim | None = None) -> Figure:
    samples = [one / other for one, other in zip(theirs, ours, strict=True)]
    return Figure.of(f"{NAME}: {name}", "times as fast", samples, against=against, aim=aim)
