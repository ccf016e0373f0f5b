"""One worker process for many tenants: what it costs to poll them all, and who waits while a large one is read.

The tenants have been read before, so that a poll finds nothing, as most polls do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import select, update

from benchmarks.books import NOT_NOW, Books, Company, analyse
from benchmarks.changes import Changes
from benchmarks.figure import Effort, Figure, at_most
from benchmarks.full_round_company import Size
from benchmarks.full_round_scene import DATABASES, Databases, databases
from benchmarks.installation import installation, post
from benchmarks.landings import Landings
from benchmarks.webhook_servers import cpu_seconds_of
from common.clock import utc_now
from common.db.engine import Database
from common.db.tables import streams
from common.messages import Stream
from deploy.local import broker
from deploy.local.broker import Broker
from deploy.local.errors import LocalServiceError
from deploy.local.runs import Run, say
from tests.support.eventually import eventually

NAME = "many_tenants"
DESCRIPTION = "a worker that polls many tenants, and serves them while it reads a large one for the first time."

PEOPLE, GROUPS = 200, 10
POLL_SECONDS = 300
OF_A_CORE = at_most(30)
WAIT_MS = at_most(1_000)
NOTIFICATION_SECONDS = 0.2
"""So often somebody changes while a first sync runs."""
WARM_WITHIN_SECONDS = 300.0


@dataclass(frozen=True)
class Plan:
    """How many tenants, how often and how long their polls are measured, and how large the first sync is."""

    tenants: int
    repetitions: int
    seconds: float
    first_sync: Size
    notifications: int


PLANS = {
    Effort.QUICK: Plan(100, 2, 5, Size(10_000, 100), 20),
    Effort.ORDINARY: Plan(1_000, 5, 8, Size(50_000, 250), 100),
    Effort.FULL: Plan(1_000, 9, 30, Size(500_000, 20_000), 500),
}


@dataclass(frozen=True)
class Prepared:
    """The tenants that have been read, and the one that has not."""

    companies: list[Company]
    large: str


def measure(effort: Effort) -> list[Figure]:
    """Return the figures, for both databases."""
    plan = PLANS[effort]
    figures: list[Figure] = []
    with Run.claim("bench", several=True) as run, databases(run) as made:
        node = broker.start(run, fresh=True)
        for kind in DATABASES:
            figures += _measured(run, node, made, plan, kind)
    return figures


def _measured(run: Run, node: Broker, made: Databases, plan: Plan, kind: str) -> Iterator[Figure]:
    say(f"  {kind}: making {plan.tenants:,} books ...")
    with installation(run, node, made, kind, partial(_books, plan=plan), plan.first_sync) as (found, prepared):
        database = Database.from_url(found.database_url)
        server = found.start_webhook()
        worker = found.start_workers()[0]
        say(f"  {kind}: polling ...")
        _poll_everybody_once(database, prepared)
        shares = [_share_of_a_core(database, prepared, worker.pid, plan) for _ in range(plan.repetitions)]
        _poll_nobody(database)
        yield Figure.of(
            f"{NAME}: {plan.tenants:,} tenants polled every {POLL_SECONDS // 60} minutes, {kind}",
            "% of one core",
            [share * 1_000 / plan.tenants for share in shares],
            against="nothing: processor time of the worker, for 1,000 tenants",
            aim=OF_A_CORE,
        )
        with Landings(found.database_url, but_of=prepared.large, look_seconds=0.005, overlap=1_000) as landings:
            changes = Changes(found, landings)
            alone = _waits(changes, prepared, landings, server.port, plan)
            say(f"  {kind}: a first sync of {plan.first_sync.people:,} people ...")
            _begin_first_sync(database, prepared.large)
            beside = _waits(changes, prepared, landings, server.port, plan)
        if not _is_being_read(database, prepared.large):
            raise LocalServiceError("The first sync was over before everybody had been served: take a larger one.")
        database.close()
        for what, waits in (("nothing else to do", alone), ("a first sync under way", beside)):
            for percent in (50, 99):
                yield Figure.of(
                    f"{NAME}: {percent} of 100 changes of {plan.tenants:,} tenants, {what}, {kind}, within",
                    "ms",
                    [_percentile(waits, percent)],
                    against="nothing: a time",
                    aim=WAIT_MS if percent == 99 else None,
                )


def _books(database: Database, origin: str, plan: Plan) -> Prepared:
    books = Books(database, origin)
    companies = books.companies(plan.tenants, PEOPLE, GROUPS)
    with database.write() as connection:
        large = books.tenant(connection, is_read=False)
    analyse(database)
    return Prepared(companies, large)


def _poll_everybody_once(database: Database, prepared: Prepared) -> None:
    """Have the worker get an access token for each tenant; what a poll costs later is without that."""
    began = utc_now()
    with database.write() as connection:
        connection.execute(update(streams).where(streams.c.tenant_id != prepared.large).values(next_poll_at=began))

    unpolled = select(streams.c.tenant_id).where(streams.c.tenant_id != prepared.large, streams.c.last_good_at < began)

    def all_polled() -> bool:
        with database.read() as connection:
            return connection.execute(unpolled).first() is None

    eventually(all_polled, within_seconds=WARM_WITHIN_SECONDS, what="a poll of everybody")


def _share_of_a_core(database: Database, prepared: Prepared, worker_pid: int, plan: Plan) -> float:
    """Let the streams be due one after the other, as many in a second as there would be; the worker's share in %."""
    now = utc_now()
    every_seconds = POLL_SECONDS / (plan.tenants * len(Stream))
    with database.write() as connection:
        keys = [(company.tenant_id, stream) for stream in Stream for company in prepared.companies]
        for number, (tenant_id, stream) in enumerate(keys):
            mine = (streams.c.tenant_id == tenant_id, streams.c.stream == stream)
            due_at = now + timedelta(seconds=number * every_seconds)
            connection.execute(update(streams).where(*mine).values(next_poll_at=due_at))
    before, began = cpu_seconds_of(worker_pid), time.monotonic()
    time.sleep(plan.seconds)
    return 100 * (cpu_seconds_of(worker_pid) - before) / (time.monotonic() - began)


def _poll_nobody(database: Database) -> None:
    with database.write() as connection:
        connection.execute(update(streams).values(next_poll_at=utc_now() + NOT_NOW))


def _begin_first_sync(database: Database, tenant_id: str) -> None:
    with database.write() as connection:
        connection.execute(update(streams).where(streams.c.tenant_id == tenant_id).values(next_poll_at=utc_now()))

    def begun() -> bool:
        with database.read() as connection:
            pages = select(streams.c.full_pages).where(streams.c.tenant_id == tenant_id)
            return all(count > 0 for count in connection.scalars(pages))

    eventually(begun, within_seconds=WARM_WITHIN_SECONDS, what="the first sync")


def _is_being_read(database: Database, tenant_id: str) -> bool:
    with database.read() as connection:
        mine = select(streams.c.stream).where(streams.c.tenant_id == tenant_id, streams.c.full_began_at.is_not(None))
        return connection.execute(mine).first() is not None


def _waits(changes: Changes, prepared: Prepared, landings: Landings, port: int, plan: Plan) -> list[float]:
    """Change somebody now and then, in another tenant each time; the milliseconds until each is in the book."""
    due: dict[str, float] = {}
    for number in range(plan.notifications):
        company = prepared.companies[number * 37 % len(prepared.companies)]
        awaited, body = changes.change(company, Stream.USERS)
        due[awaited] = time.perf_counter()
        post(port, body)
        time.sleep(NOTIFICATION_SECONDS)
    seen = landings.wait_for(due)
    return [1000 * (seen[one] - at) for one, at in due.items()]


def _percentile(waits: Sequence[float], percent: int) -> float:
    return sorted(waits)[min(len(waits) - 1, len(waits) * percent // 100)]
