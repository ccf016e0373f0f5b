"""Throughput of one, two and four worker processes, and what a change costs each who takes part.

All share the processors of one machine: Graph, RabbitMQ, webhook and database as well. So what a change costs in
processor time tells more of a larger installation than how many there are in a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.books import Books, Company, analyse
from benchmarks.changes import Changes
from benchmarks.figure import Effort, Figure
from benchmarks.full_round_scene import Databases, databases
from benchmarks.installation import Installation, installation, post
from benchmarks.landings import Landings
from benchmarks.turns import ratios, take_turns
from benchmarks.webhook_servers import Server, cpu_seconds_of
from common.db.engine import Database
from common.messages import Stream
from deploy.local import broker
from deploy.local.broker import Broker
from deploy.local.processes import PidFile
from deploy.local.runs import Run, say

NAME = "workers"
DESCRIPTION = "one, two and four worker processes on many tenants, against one; and what a change costs each part."

COUNTS = (1, 2, 4)
PEOPLE, GROUPS = 50, 5
POSTERS = 4
PARTS = ("worker", "database", "webhook", "RabbitMQ", "Graph")


@dataclass(frozen=True)
class Plan:
    """How many tenants, each with a change of both streams in a batch, and how often."""

    tenants: int
    repetitions: int


PLANS = {Effort.QUICK: Plan(30, 2), Effort.ORDINARY: Plan(60, 5), Effort.FULL: Plan(500, 9)}


@dataclass(frozen=True)
class Batch:
    """What came of a batch of changes; processor time in milliseconds a change, by who used it."""

    changes_a_second: float
    cost_ms: Mapping[str, float]


@dataclass(frozen=True)
class Stage:
    """What runs all the time."""

    found: Installation
    companies: Sequence[Company]
    server: Server
    landings: Landings
    changes: Changes
    pids: Mapping[str, int]

    def batch(self, count: int) -> Batch:
        """Let so many workers follow a change of each stream of each tenant, after one more that warms them up."""
        workers = self.found.start_workers(count)
        try:
            self._follow()
            pids = [*self.pids.items(), *(("worker", worker.pid) for worker in workers)]
            before = _used(pids)
            seconds, made = self._follow()
            used = _used(pids)
        finally:
            for worker in workers:
                worker.stop()
        return Batch(made / seconds, {part: 1000 * (used[part] - before[part]) / made for part in PARTS})

    def _follow(self) -> tuple[float, int]:
        """Return the seconds that it took, and how many changes there were."""
        made = [self.changes.change(company, stream) for stream in Stream for company in self.companies]
        bodies = iter([body for _, body in made])
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    body = next(bodies, None)
                if body is None:
                    return
                post(self.server.port, body)

        began = time.perf_counter()
        posters = [threading.Thread(target=work) for _ in range(POSTERS)]
        for poster in posters:
            poster.start()
        for poster in posters:
            poster.join()
        seen = self.landings.wait_for([awaited for awaited, _ in made])
        return max(seen.values()) - began, len(made)


def measure(effort: Effort) -> list[Figure]:
    """Return the figures, on PostgreSQL: workers on several machines can share nothing else."""
    plan = PLANS[effort]
    with Run.claim("bench", several=True) as run, databases(run) as made:
        node = broker.start(run, fresh=True)
        return list(_measured(run, node, made, plan))


def _measured(run: Run, node: Broker, made: Databases, plan: Plan) -> Iterator[Figure]:
    with installation(run, node, made, "PostgreSQL", partial(_books, plan=plan)) as (found, companies):
        server = found.start_webhook()
        pids = {"webhook": server.process.pid, "Graph": found.graph.process.pid}
        for part, name in (("database", "postgres"), ("RabbitMQ", "rabbitmq")):
            record = PidFile(run.directory / "pids" / f"{name}.json").read()
            pids[part] = record.identity.pid if record else 0
        with Landings(found.database_url, look_seconds=0.02, overlap=2_000) as landings:
            stage = Stage(found, companies, server, landings, Changes(found, landings), pids)
            say("  One, two and four workers ...")
            batches = take_turns({count: partial(stage.batch, count) for count in COUNTS}, plan.repetitions)
    rates = {count: [one.changes_a_second for one in batches[count]] for count in COUNTS}
    yield Figure.of(f"{NAME}: changes, 1 worker", "a second", rates[1], against="nothing: a rate, on this machine")
    for count in COUNTS[1:]:
        against = "one worker; two cores are shared by all that take part"
        yield Figure.of(f"{NAME}: changes, {count} workers", "times", ratios(rates[count], rates[1]), against=against)
    for part in PARTS:
        costs = [one.cost_ms[part] for one in batches[1]]
        against = "nothing: processor time, with one worker"
        yield Figure.of(f"{NAME}: {part}, one change", "ms", costs, against=against)


def _books(database: Database, origin: str, plan: Plan) -> list[Company]:
    companies = Books(database, origin).companies(plan.tenants, PEOPLE, GROUPS)
    analyse(database)
    return companies


def _used(pids: Sequence[tuple[str, int]]) -> dict[str, float]:
    """Return the processor time in seconds by part."""
    used = dict.fromkeys(PARTS, 0.0)
    for part, pid in pids:
        used[part] += cpu_seconds_of(pid)
    return used
