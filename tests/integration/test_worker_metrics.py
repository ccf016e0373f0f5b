"""What a worker counts: what was committed, once, under names without tenants."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from common.clock import utc_now
from common.errors import DatabaseUnavailableError, ResyncNeededError
from common.graph.answers import GraphUnavailableError
from common.messages import Reason, Stream
from tests.support.bench import Bench
from tests.support.book import book, guid
from tests.support.counted import Counted
from tests.support.pen import gone, group, member, person
from tests.support.scripted_graph import ScriptedGraph, page
from worker import metrics

ANNA, BERT, STAFF = (guid(name) for name in ("anna", "bert", "staff"))
FIRST = ScriptedGraph.FIRST


@pytest.fixture
def bench(sqlite_url: str) -> Iterator[Bench]:
    with book(sqlite_url) as found:
        yield Bench(found)


@pytest.fixture
def synced(bench: Bench) -> Bench:
    bench.graph.on(FIRST, page(person(ANNA), person(BERT), end="born"))
    bench.graph.on("born", page(end="live"))
    bench.advance()
    return bench


def test_rounds_pages_objects_and_changes_are_counted_by_kind(bench: Bench) -> None:
    bench.graph.on(FIRST, page(person(ANNA), person(BERT), then="second"))
    bench.graph.on("second", page(person(ANNA), end="born"))
    bench.graph.on("born", page(gone(BERT), end="live"))
    counted = Counted()
    bench.advance()
    full, live = ({"stream": "users", "mode": mode} for mode in ("full", "incremental"))
    assert counted.of("entra_sms_rounds_total", **full, outcome="ok") == 1
    assert counted.of("entra_sms_rounds_total", **live, outcome="ok") == 1
    assert counted.of("entra_sms_round_seconds_count", **full) == 1
    assert counted.of("entra_sms_pages_total", **full) == 2
    assert counted.of("entra_sms_pages_total", **live) == 1
    assert counted.of("entra_sms_objects_total", **full) == 3
    assert counted.of("entra_sms_changes_total", kind="contact.added") == 2
    assert counted.of("entra_sms_changes_total", kind="contact.removed") == 1


def test_every_kind_of_change_that_the_feed_tells_is_counted(bench: Bench) -> None:
    counted = Counted()
    bench.graph.on(FIRST, page(person(ANNA), end="born"))
    bench.graph.on("born", page(person(ANNA, displayName="Anna Maria"), end="live"), page(gone(ANNA), end="later"))
    bench.graph.on("live", page(gone(ANNA), end="later"))
    bench.advance()
    bench.advance()
    bench.graph.on(FIRST, page(group(STAFF, member(BERT)), end="born"))
    bench.graph.on("born", page(group(STAFF, displayName="All", **{"members@delta": []}), end="live"))
    bench.graph.on("live", page(gone(STAFF), end="later"))
    bench.graph.on(f"members/{STAFF}", [])
    bench.advance(stream=Stream.GROUPS)
    bench.advance(stream=Stream.GROUPS)
    told: dict[str, int] = {}
    for change in bench.changes():
        told[change["kind"]] = told.get(change["kind"], 0) + 1
    assert set(told) >= {"contact.added", "contact.changed", "contact.removed", "group.added", "group.removed"}
    assert {kind: counted.of("entra_sms_changes_total", kind=kind) for kind in told} == told
    assert set(told) <= set(metrics.KINDS)


def test_a_hold_is_counted_once_however_much_is_held_later(synced: Bench) -> None:
    synced.book.tenant(removal_limit_count=0, removal_limit_percent=0)
    synced.graph.on("live", page(gone(ANNA), end="later"))
    synced.graph.on("later", page(gone(BERT), end="last"))
    counted = Counted()
    synced.advance()
    synced.advance()
    assert synced.people() == {ANNA, BERT}, "nobody is held"
    assert counted.of("entra_sms_holds_total", stream="users") == 1
    assert counted.of("entra_sms_changes_total", kind="contact.removed") == 0


def test_what_could_not_be_committed_is_not_counted(synced: Bench) -> None:
    synced.graph.on("live", page(gone(ANNA), end="later"))
    engine, commits = synced.book.database.engine, []

    def fail(connection: Any) -> None:
        rows = connection.exec_driver_sql("SELECT count(*) FROM changes WHERE kind = 'contact.removed'").scalar_one()
        if rows:
            commits.append(rows)
            raise OperationalError("COMMIT", {}, Exception("the disk is full"))

    counted = Counted()
    event.listen(engine, "commit", fail)
    try:
        with pytest.raises(DatabaseUnavailableError):
            synced.advance()
    finally:
        event.remove(engine, "commit", fail)
    assert commits, "the commit was not reached"
    assert counted.of("entra_sms_changes_total", kind="contact.removed") == 0
    assert counted.of("entra_sms_pages_total", stream="users", mode="incremental") == 0
    synced.advance()
    assert counted.of("entra_sms_changes_total", kind="contact.removed") == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(GraphUnavailableError("Graph answered 503."), "failed"), (ResyncNeededError("Graph answered 410."), "resync")],
)
def test_a_round_that_fails_and_one_whose_token_is_dead_are_told_apart(
    synced: Bench, error: Exception, outcome: str
) -> None:
    synced.graph.on("live", error)
    synced.graph.on(FIRST, GraphUnavailableError("Graph answered 503."))
    counted = Counted()
    with pytest.raises(GraphUnavailableError):
        synced.advance()
    live = {"stream": "users", "mode": "incremental"}
    assert {one for one in ("ok", "failed", "resync") if counted.of("entra_sms_rounds_total", **live, outcome=one)} == {
        outcome
    }


def test_the_wait_of_a_request_is_counted_unless_it_was_delayed_on_purpose(bench: Bench) -> None:
    now = utc_now()
    asked = bench.request()
    counted = Counted()
    metrics.count_waits(
        [asked, bench.request(Reason.FOLLOW_UP, follow_up=1), asked.again()], now + timedelta(seconds=7)
    )
    assert counted.of("entra_sms_queue_wait_seconds_count", stream="users") == 1
    assert counted.of("entra_sms_queue_wait_seconds_sum", stream="users") == pytest.approx(7, abs=1)


def test_the_lag_of_a_change_is_that_of_its_first_notification(synced: Bench) -> None:
    synced.graph.on("live", page(gone(ANNA), end="later"))
    counted = Counted()
    early, late = (replace(synced.request(), requested_at=utc_now() - timedelta(seconds=s)) for s in (90, 30))
    synced.advance(late, early, synced.request(Reason.POLL))
    assert counted.of("entra_sms_change_lag_seconds_count", stream="users") == 1
    assert counted.of("entra_sms_change_lag_seconds_sum", stream="users") == pytest.approx(90, abs=30)


def test_a_notification_that_brought_nothing_new_has_no_lag(synced: Bench) -> None:
    synced.graph.on("live", page(person(ANNA), end="later"))
    counted = Counted()
    synced.advance(synced.request())
    assert counted.of("entra_sms_rounds_total", stream="users", mode="incremental", outcome="ok") == 1
    assert counted.of("entra_sms_change_lag_seconds_count", stream="users") == 0


def test_a_request_from_a_clock_that_is_ahead_has_not_waited(bench: Bench) -> None:
    counted = Counted()
    metrics.count_waits([bench.request()], utc_now() - timedelta(seconds=30))
    assert counted.of("entra_sms_queue_wait_seconds_sum", stream="users") == 0
    assert counted.of("entra_sms_queue_wait_seconds_count", stream="users") == 1
