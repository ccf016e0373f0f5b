"""One change of a directory: from the notification at the webhook to the committed row.

A webhook, a worker and RabbitMQ as they are shipped; Graph answers only what is asked, after a while that is set. The
floor is the one request to Graph that a change needs, by a plain client over a connection that is open.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks.books import Books, Company, analyse
from benchmarks.changes import Changes
from benchmarks.figure import Aim, Effort, Figure, at_most
from benchmarks.full_round_scene import DATABASES, Databases, databases
from benchmarks.installation import Installation, installation, post
from benchmarks.landings import Landings
from common.db.engine import Database
from common.messages import Stream
from deploy.local import broker
from deploy.local.broker import Broker
from deploy.local.runs import Run, say

NAME = "one_change"
DESCRIPTION = "from a notification at the webhook to the committed row, against the one request to Graph that it needs."

LATENCIES_MS = (0, 20, 100)
RATE = 50
OF_THE_FLOOR, PLUS_MS = 1.5, 10
"""The aim: so many times the request that is needed, and so much for everything else."""
P99_MS = at_most(250)
SIZE_RATIO = at_most(1.2)
POSTERS = 8


@dataclass(frozen=True)
class Plan:
    """How much and how often; the sizes are numbers of people."""

    repetitions: int
    changes: int
    seconds_at_rate: int
    small: int
    large: int


PLANS = {
    Effort.QUICK: Plan(repetitions=2, changes=20, seconds_at_rate=4, small=1_000, large=20_000),
    Effort.ORDINARY: Plan(repetitions=5, changes=30, seconds_at_rate=6, small=10_000, large=500_000),
    Effort.FULL: Plan(repetitions=9, changes=100, seconds_at_rate=20, small=10_000, large=500_000),
}
TENANTS, PEOPLE, GROUPS = 100, 200, 10
SIZED_CHANGES = 8
"""A repetition has so many changes for each size: as many rounds as a stream has before they have to wait."""


@dataclass(frozen=True)
class Prepared:
    """The companies of a database."""

    many: list[Company]
    busy: list[Company]
    """One for each repetition; it has more people than are changed in it."""
    small: Company
    large: Company


@dataclass
class Stage:
    """The installation, and who posts and watches."""

    found: Installation
    companies: Prepared
    port: int
    landings: Landings
    changes: Changes

    def one(self, company: Company, stream: Stream) -> float:
        """Make one change and return the milliseconds until it is in the book."""
        awaited, body = self.changes.change(company, stream)
        began = time.perf_counter()
        post(self.port, body)
        return 1000 * (self.landings.wait_for([awaited])[awaited] - began)

    def floor(self, company: Company, stream: Stream) -> float:
        """Ask Graph what a worker asks it, and return the milliseconds."""
        position = self.changes.told[company.tenant_id, stream] - 1
        began = time.perf_counter()
        self.found.graph.ask(company.tenant_id, stream, position)
        return 1000 * (time.perf_counter() - began)

    def at_a_rate(self, companies: Sequence[Company], seconds: int) -> list[float]:
        """Make `RATE` changes a second of people of these companies; the milliseconds from when each was due."""
        due: dict[str, float] = {}
        lock = threading.Lock()
        began = time.perf_counter() + 0.1
        numbers = iter(range(RATE * seconds))
        errors: list[BaseException] = []

        def work() -> None:
            try:
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    at = began + number / RATE
                    time.sleep(max(0.0, at - time.perf_counter()))
                    with lock:  # not before: whoever asks Graph for another change would find this one as well
                        awaited, body = self.changes.change(companies[number % len(companies)], Stream.USERS)
                    due[awaited] = at
                    post(self.port, body)
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(POSTERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        seen = self.landings.wait_for(due)
        return [max(0.0, 1000 * (seen[one] - at)) for one, at in due.items()]


def measure(effort: Effort) -> list[Figure]:
    """Return the figures, for both databases."""
    plan = PLANS[effort]
    with Run.claim("bench", several=True) as run, databases(run) as made:
        node = broker.start(run, fresh=True)
        figures: list[Figure] = []
        for kind in DATABASES:
            say(f"  {kind}: making books of {plan.small:,} and {plan.large:,} people ...")
            with _stage(run, node, made, kind, plan) as stage:
                figures += _figures(stage, plan, kind)
        return figures


def _books(database: Database, origin: str, plan: Plan) -> Prepared:
    books = Books(database, origin)
    small, large = (books.company(people, people // 20) for people in (plan.small, plan.large))
    many = books.companies(TENANTS, PEOPLE, GROUPS)
    busy = books.companies(plan.repetitions, RATE * plan.seconds_at_rate, GROUPS)
    prepared = Prepared(many, busy, small, large)
    analyse(database)
    return prepared


@contextmanager
def _stage(run: Run, node: Broker, made: Databases, kind: str, plan: Plan) -> Iterator[Stage]:
    with installation(run, node, made, kind, partial(_books, plan=plan)) as (found, companies):
        server = found.start_webhook()
        found.start_workers()
        with Landings(found.database_url) as landings:
            yield Stage(found, companies, server.port, landings, Changes(found, landings))


def _figures(stage: Stage, plan: Plan, kind: str) -> Iterator[Figure]:
    many, busy = stage.companies.many, stage.companies.busy
    for company in many:  # each tenant's first request for an access token is no part of a change
        stage.one(company, Stream.USERS)
    alone: dict[int, list[list[float]]] = {latency: [] for latency in LATENCIES_MS}
    floors: dict[int, list[list[float]]] = {latency: [] for latency in LATENCIES_MS}
    sized: dict[Stream, list[float]] = {stream: [] for stream in Stream}
    spread_out, together = [], []
    for number in range(plan.repetitions):
        say(f"  {kind}: {number + 1} of {plan.repetitions} ...")
        for stream in Stream:
            sized[stream].append(_size_ratio(stage, stream))
        for latency in LATENCIES_MS:
            stage.found.graph.wait_before_answers(latency)
            took, needed = _alone(stage, many, plan.changes)
            alone[latency].append(took)
            floors[latency].append(needed)
        stage.found.graph.wait_before_answers(0)
        spread_out.append(stage.at_a_rate(many, plan.seconds_at_rate))
        together.append(stage.at_a_rate([busy[number]], plan.seconds_at_rate))
    for latency in LATENCIES_MS:
        yield from _against_the_floor(alone[latency], floors[latency], f"{latency} ms a request, {kind}")
    yield _within(f"99 of 100, one at a time, 0 ms a request, {kind}", alone[0], 99, P99_MS)
    yield _within(f"half of them, {RATE} a second over {TENANTS} tenants, 0 ms a request, {kind}", spread_out, 50)
    yield _within(f"99 of 100, {RATE} a second over {TENANTS} tenants, 0 ms a request, {kind}", spread_out, 99, P99_MS)
    yield _within(f"99 of 100, {RATE} a second in one tenant, 0 ms a request, {kind}", together, 99)
    for stream, what in ((Stream.USERS, "a number"), (Stream.GROUPS, "a membership")):
        yield Figure.of(
            f"{NAME}: {what} of {plan.large:,} people, {kind}",
            "times its time",
            sized[stream],
            against=f"the same in a book of {plan.small:,}",
            aim=SIZE_RATIO,
        )


def _size_ratio(stage: Stage, stream: Stream) -> float:
    """Return how many times as long a change takes in the large book; they take turns."""
    took: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(SIZED_CHANGES):
        took["small"].append(stage.one(stage.companies.small, stream))
        took["large"].append(stage.one(stage.companies.large, stream))
    return statistics.median(took["large"]) / statistics.median(took["small"])


def _alone(stage: Stage, companies: Sequence[Company], changes: int) -> tuple[list[float], list[float]]:
    took, needed = [], []
    for number in range(changes):
        company = companies[number % len(companies)]
        took.append(stage.one(company, Stream.USERS))
        needed.append(stage.floor(company, Stream.USERS))
    return took, needed


def _against_the_floor(
    took: Sequence[Sequence[float]], needed: Sequence[Sequence[float]], course: str
) -> Iterator[Figure]:
    medians = [statistics.median(one) for one in took]
    floors = [statistics.median(one) for one in needed]
    yield Figure.of(f"{NAME}: one at a time, {course}", "ms", medians, against="nothing: a time")
    yield Figure.of(
        f"{NAME}: one at a time without {PLUS_MS} ms, {course}",
        "times the floor",
        [(one - PLUS_MS) / floor for one, floor in zip(medians, floors, strict=True)],
        against="the one request that it needs, by a plain client",
        aim=at_most(OF_THE_FLOOR),
    )


def _within(what: str, took: Sequence[Sequence[float]], percent: int, aim: Aim | None = None) -> Figure:
    samples = [statistics.quantiles(one, n=100, method="inclusive")[percent - 1] for one in took]
    return Figure.of(f"{NAME}: {what}, within", "ms", samples, against="nothing: a time", aim=aim)
