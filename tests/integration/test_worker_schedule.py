"""The timers: what is due is claimed once, by whoever comes first, and stays due when nobody could be asked."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
import structlog
from sqlalchemy import select
from structlog.testing import LogCapture

from common.broker.publisher import Publisher
from common.clock import utc_now
from common.db.tables import streams, tenants
from common.errors import BrokerUnavailableError, DatabaseUnavailableError
from common.messages import Stream
from tests.support.bench import settings
from tests.support.book import Book, add_tenant, book
from tests.support.eventually import eventually
from tests.support.recording_publisher import RecordingPublisher
from worker.results import Results
from worker.schedule import RECONCILE_CLAIM, RECONCILIATIONS_AHEAD, Schedule
from worker.subscriptions import Reconciler

TENANTS = 20


class RecordingReconciler:
    """Stands in for `Reconciler`: remembers, and holds up whoever comes until it may go on."""

    def __init__(self) -> None:
        self.looked_at: list[str] = []
        self.error: Exception | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def reconcile(self, tenant_id: str) -> None:
        self.looked_at.append(tenant_id)
        assert self.may_go_on.wait(30)
        if self.error is not None:
            raise self.error


class Timers:
    """A schedule with what surrounds it."""

    def __init__(self, book: Book) -> None:
        self.publisher = RecordingPublisher()
        self.reconciler = RecordingReconciler()
        publisher, reconciler = cast("Publisher", self.publisher), cast("Reconciler", self.reconciler)
        self.schedule = Schedule(settings(), book.database, publisher, reconciler, Results(book.database, publisher))

    def polled(self) -> set[tuple[str, str]]:
        return {(body["tenant_id"], body["stream"]) for body in self.publisher.bodies}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The lines that the timers log."""
    capture = LogCapture()
    monkeypatch.setattr("worker.schedule.log", structlog.wrap_logger(structlog.ReturnLogger(), processors=[capture]))
    return capture.entries


@pytest.fixture
def full_book(database_url: str) -> Iterator[Book]:
    """A book of twenty tenants, of which everything is due."""
    with book(database_url) as found:
        with found.database.write() as connection:
            for number in range(1, TENANTS):
                add_tenant(connection, f"Tenant {number}", None)
        yield found


@pytest.fixture
def small_book(sqlite_url: str) -> Iterator[Book]:
    with book(sqlite_url) as found:
        yield found


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.schedule.TICK_SECONDS", 0.02)


def next_polls(book: Book) -> list[Any]:
    with book.database.read() as connection:
        return list(connection.scalars(select(streams.c.next_poll_at)))


def at_once(*works: Any) -> list[Any]:
    """Run all of it at the same time; the results."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = []

    def run(work: Any) -> None:
        barrier.wait(30)
        results.append(work())

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_due_polls_are_claimed_once_by_however_many_schedules(full_book: Book) -> None:
    schedules = [Timers(full_book).schedule for _ in range(3)]
    claims = at_once(*(schedule._claim_polls for schedule in schedules))
    claimed = [key for keys in claims for key in keys]
    assert len(claimed) == len(set(claimed)) == TENANTS * len(Stream)
    assert min(next_polls(full_book)) > utc_now() + timedelta(minutes=4)


def test_due_tenants_are_claimed_once_by_however_many_schedules(full_book: Book) -> None:
    schedules = [Timers(full_book).schedule for _ in range(3)]
    claims = at_once(*(lambda schedule=schedule: schedule._claim_reconciliations(TENANTS) for schedule in schedules))
    claimed = [tenant for tenants_claimed in claims for tenant in tenants_claimed]
    assert len(claimed) == len(set(claimed)) == TENANTS


def test_a_credential_that_expires_is_told(small_book: Book) -> None:
    small_book.tenant(credential_expires_at=utc_now() + timedelta(days=3))
    timers = Timers(small_book)
    timers.schedule.start()
    try:
        eventually(
            lambda: any(body.get("what") == "credential_expires" for body in timers.publisher.bodies),
            what="the warning on its queue",
        )
    finally:
        timers.schedule.stop()


def test_what_is_not_due_is_left_alone(small_book: Book) -> None:
    timers = Timers(small_book)
    for stream in Stream:
        small_book.stream(stream, next_poll_at=utc_now() + timedelta(minutes=1))
    small_book.tenant(reconcile_at=utc_now() + timedelta(minutes=1))
    assert timers.schedule._claim_polls() == []
    assert timers.schedule._claim_reconciliations(10) == []


def test_what_was_due_longest_comes_first(small_book: Book) -> None:
    timers = Timers(small_book)
    small_book.stream(Stream.USERS, next_poll_at=utc_now() - timedelta(minutes=1))
    small_book.stream(Stream.GROUPS, next_poll_at=utc_now() - timedelta(minutes=9))
    assert [key.stream for key in timers.schedule._claim_polls()] == [Stream.GROUPS, Stream.USERS]


def test_while_the_broker_is_away_what_was_claimed_is_soon_due_again(small_book: Book) -> None:
    timers = Timers(small_book)
    timers.publisher.away = True
    keys = timers.schedule._claim_polls()
    with pytest.raises(BrokerUnavailableError):
        timers.schedule._publish_polls(keys)
    assert max(next_polls(small_book)) < utc_now() + timedelta(seconds=10)


def test_a_tenant_claimed_by_a_worker_that_died_is_claimed_again_later(small_book: Book) -> None:
    timers = Timers(small_book)
    assert timers.schedule._claim_reconciliations(10) == [small_book.tenant_id]
    assert timers.schedule._claim_reconciliations(10) == []
    with small_book.database.read() as connection:
        [reconcile_at] = connection.scalars(select(tenants.c.reconcile_at))
    assert timedelta(0) < reconcile_at - utc_now() <= RECONCILE_CLAIM


# The thread


def test_the_timers_ask_for_rounds_and_for_subscriptions_by_themselves(small_book: Book) -> None:
    timers = Timers(small_book)
    timers.schedule.start()
    eventually(lambda: len(timers.polled()) == 2 and timers.reconciler.looked_at == [small_book.tenant_id])
    timers.schedule.stop()
    assert {body["reason"] for body in timers.publisher.bodies} == {"poll"}


def test_the_timers_outlive_a_broker_a_database_and_a_defect(small_book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    timers = Timers(small_book)
    troubles = iter([DatabaseUnavailableError("away"), BrokerUnavailableError("away"), KeyError("a defect")])
    claim = timers.schedule._claim_polls

    def troubled() -> Any:
        trouble = next(troubles, None)
        if trouble is not None:
            raise trouble
        return claim()

    monkeypatch.setattr(timers.schedule, "_claim_polls", troubled)
    timers.schedule.start()
    eventually(lambda: len(timers.polled()) == 2)
    timers.schedule.stop()


def test_a_trouble_of_the_timers_is_said_once_and_said_again_when_it_comes_back(
    small_book: Book, monkeypatch: pytest.MonkeyPatch, said: list[Any]
) -> None:
    schedule = Timers(small_book).schedule
    away, other = DatabaseUnavailableError("It is away."), DatabaseUnavailableError("It is locked.")
    troubles: list[Exception | None] = [away, away, other, other, None, other]

    def claim_polls() -> list[Any]:
        trouble = troubles.pop(0)
        if trouble is not None:
            raise trouble
        return []

    monkeypatch.setattr(schedule, "_claim_polls", claim_polls)
    while troubles:
        schedule._tick(schedule._poll)
        schedule._tick(schedule._look_at_subscriptions)
    assert [line["error"] for line in said] == ["It is away.", "It is locked.", "It is locked."]


@pytest.mark.parametrize(
    ("error", "is_defect"), [(DatabaseUnavailableError("It is away."), False), (KeyError("x"), True)]
)
def test_a_look_at_subscriptions_without_a_database_is_trouble_and_no_defect(
    small_book: Book, error: Exception, is_defect: bool, said: list[Any]
) -> None:
    timers = Timers(small_book)
    timers.reconciler.error = error
    timers.schedule._reconcile(small_book.tenant_id)
    assert [line["event"] for line in said] == ["reconcile_failed"]
    assert said[0].get("exc_info", False) is is_defect  # a defect is logged with its traceback


def test_a_broker_that_is_away_keeps_no_subscription_waiting(small_book: Book) -> None:
    timers = Timers(small_book)
    timers.publisher.away = True
    timers.schedule.start()
    eventually(lambda: timers.reconciler.looked_at == [small_book.tenant_id])
    timers.schedule.stop()


def test_no_more_tenants_are_claimed_than_can_be_looked_at_soon(full_book: Book) -> None:
    timers = Timers(full_book)
    timers.reconciler.may_go_on.clear()
    timers.schedule.start()
    eventually(lambda: len(timers.publisher.sent) == TENANTS * len(Stream))
    eventually(lambda: len(timers.reconciler.looked_at) == 2)
    with full_book.database.read() as connection:
        due = list(connection.scalars(select(tenants.c.tenant_id).where(tenants.c.reconcile_at <= utc_now())))
    assert len(due) >= TENANTS - RECONCILIATIONS_AHEAD
    timers.reconciler.may_go_on.set()
    eventually(lambda: len(timers.reconciler.looked_at) == TENANTS)
    timers.schedule.stop()
    assert len(set(timers.reconciler.looked_at)) == TENANTS


def test_stopping_finishes_what_is_under_way(small_book: Book) -> None:
    timers = Timers(small_book)
    timers.reconciler.may_go_on.clear()
    timers.schedule.start()
    eventually(lambda: timers.reconciler.looked_at)
    stopping = threading.Thread(target=timers.schedule.stop)
    stopping.start()
    timers.reconciler.may_go_on.set()
    stopping.join(30)
    assert not stopping.is_alive()
