"""How long a change took, from its notification to the committed row, as it is noted in the stream's row."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from common.clock import utc_now
from common.graph.client import DeltaPage
from common.messages import Reason, Stream, SyncRequest
from tests.support.bench import Bench
from tests.support.book import book, guid
from tests.support.pen import person
from tests.support.scripted_graph import ScriptedGraph, page

ANNA, BERT, CLEO = (guid(name) for name in ("anna", "bert", "cleo"))
HOUR = timedelta(hours=1)


@pytest.fixture
def synced(database_url: str) -> Iterator[Bench]:
    """A bench whose users have been read once, by the poll, up to the deltaLink `live`."""
    with book(database_url) as found:
        bench = Bench(found)
        bench.graph.on(ScriptedGraph.FIRST, page(person(ANNA), end="live"))
        bench.graph.on("live", page(end="live"))
        bench.advance(bench.request(Reason.POLL))
        yield bench


def notified(bench: Bench, ago: timedelta) -> SyncRequest:
    return SyncRequest(bench.book.tenant_id, Stream.USERS, Reason.NOTIFICATION, utc_now() - ago)


def lag_hours(bench: Bench) -> int | None:
    seconds = bench.row()["last_change_lag_seconds"]
    return None if seconds is None else round(seconds / 3600)


def test_it_is_the_time_from_the_first_notification_to_the_commit(synced: Bench) -> None:
    synced.graph.on("live", page(person(BERT), end="later"))

    synced.advance(notified(synced, HOUR), notified(synced, 3 * HOUR), synced.request(Reason.POLL))

    assert lag_hours(synced) == 3
    assert synced.row()["last_change_at"] == synced.row()["last_good_at"]


def test_what_was_not_notified_or_changed_nothing_leaves_it_as_it_was(synced: Bench) -> None:
    assert lag_hours(synced) is None
    synced.graph.on("live", page(person(BERT), end="later"))
    synced.advance(notified(synced, HOUR))
    before = synced.row()

    synced.graph.on("later", page(person(BERT), end="latest"))
    synced.advance(notified(synced, 5 * HOUR))
    synced.graph.on("latest", page(person(CLEO), end="last"))
    synced.advance(synced.request(Reason.POLL))

    assert CLEO in synced.people()
    assert lag_hours(synced) == 1
    assert synced.row()["last_change_at"] == before["last_change_at"]


def test_a_round_that_goes_on_from_before_answers_no_notification(synced: Bench) -> None:
    synced.graph.on("live", page(person(BERT), then="more"))
    synced.graph.on("more", RuntimeError("killed"), page(person(CLEO), end="later"))
    with pytest.raises(RuntimeError):
        synced.advance(synced.request(Reason.POLL))
    synced.expire_lease()
    synced.graph.on("later", page(end="later"))

    synced.advance(notified(synced, HOUR))

    assert CLEO in synced.people()
    assert lag_hours(synced) is None


def test_a_clock_that_is_ahead_makes_no_negative_lag(synced: Bench) -> None:
    synced.graph.on("live", page(person(BERT), end="later"))

    synced.advance(notified(synced, -HOUR))

    assert lag_hours(synced) == 0


def test_what_a_turn_finds_after_it_has_answered_is_no_answer_any_more(synced: Bench) -> None:
    def ask_meanwhile() -> DeltaPage:
        synced.book.stream(Stream.USERS, wanted_at=utc_now())
        return page(person(BERT), end="later")

    synced.graph.on("live", ask_meanwhile)
    synced.graph.on("later", page(person(CLEO), end="latest"))

    synced.advance(notified(synced, HOUR))

    *_, first, second = synced.history()
    assert (first["added"], second["added"]) == (1, 1)
    assert synced.row()["last_change_at"] == first["ended_at"]
