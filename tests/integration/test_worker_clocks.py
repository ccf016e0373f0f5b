"""The clocks of the machines differ by minutes: no command is lost or carried out twice for that."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Connection

from common.broker.publisher import Publisher
from common.clock import utc_now
from common.commands import Command, Verb
from common.db.engine import Database
from common.messages import LifecycleEvent, LifecycleNotice, Mode, Stream, SyncRequest, decode_request
from tests.support.bench import Bench
from tests.support.book import book, guid
from tests.support.pen import person
from tests.support.scripted_graph import ScriptedGraph, page
from worker.commands import Commands
from worker.lifecycle import Lifecycle

ANNA, BERT = guid("anna"), guid("bert")
FIRST = ScriptedGraph.FIRST
SKEWS = [timedelta(minutes=minutes) for minutes in (-10, 0, 10)]


@pytest.fixture(params=SKEWS, ids=["behind", "equal", "ahead"])
def skewed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> timedelta:
    """How far the database's clock is from that of every process."""
    skew: timedelta = request.param
    now = Database.now

    def skewed_now(database: Database, connection: Connection) -> datetime:
        return now(database, connection) + skew

    monkeypatch.setattr(Database, "now", skewed_now)
    return skew


@pytest.fixture
def bench(database_url: str, skewed: timedelta) -> Iterator[Bench]:
    """A tenant whose users have been read once."""
    with book(database_url) as found:
        bench = Bench(found)
        bench.book.stream(Stream.USERS, next_poll_at=utc_now() + skewed)
        bench.graph.on(FIRST, page(person(ANNA), end="live"))
        bench.graph.on("live", page(end="live"))
        bench.advance()
        bench.graph.asked.clear()
        yield bench


def commanded(bench: Bench, request_id: str) -> SyncRequest:
    """What an operator's command for a full round becomes, at the moment of asking."""
    command = Command(Verb.FULL_RESYNC, bench.book.tenant_id, Stream.USERS, request_id)
    Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher)).carry_out(command)
    return decode_request(bench.publisher.sent[-1].body)


def missed(bench: Bench) -> SyncRequest:
    """What Graph's word becomes that notifications were lost."""
    event, received_at = LifecycleEvent.MISSED, utc_now()
    notice = LifecycleNotice(bench.book.tenant_id, Stream.USERS, event, guid("subscription"), received_at)
    Lifecycle(bench.book.database, cast("Publisher", bench.publisher)).take_note(notice)
    return decode_request(bench.publisher.sent[-1].body)


def full_rounds(bench: Bench) -> list[Any]:
    """The commands that each full round answered, but for the first sync."""
    return [one["request_ids"] for one in bench.history() if one["mode"] == Mode.FULL][1:]


def test_the_clocks_differ(bench: Bench, skewed: timedelta) -> None:
    with bench.book.database.read() as connection:
        difference = bench.book.database.now(connection) - utc_now()
    assert abs(difference - skewed) < timedelta(minutes=1)


def test_a_full_round_that_began_before_a_command_does_not_answer_it(bench: Bench) -> None:
    bench.graph.on(FIRST, page(person(ANNA), then="second"), page(person(ANNA), person(BERT), end="live"))
    bench.graph.on("second", page(end="live"))
    bench.stopping = True
    bench.advance(commanded(bench, "r1"))
    bench.stopping = False
    later = commanded(bench, "r2")
    bench.advance(later)
    bench.advance()
    assert full_rounds(bench) == [["r1"], ["r2"]]
    assert bench.people() == {ANNA, BERT}


def test_a_command_that_is_delivered_twice_is_carried_out_once(bench: Bench) -> None:
    request = commanded(bench, "r1")
    bench.advance(request)
    bench.advance(request)
    bench.advance()
    assert full_rounds(bench) == [["r1"]]
    assert bench.graph.asked.count(FIRST) == 1


def test_a_command_that_is_delivered_again_during_its_full_round_is_carried_out_once(bench: Bench) -> None:
    bench.graph.on(FIRST, page(person(ANNA), then="second"))
    bench.graph.on("second", page(end="live"))
    request = commanded(bench, "r1")
    bench.stopping = True
    bench.advance(request)
    bench.stopping = False
    bench.advance(request)
    bench.advance()
    assert full_rounds(bench) == [["r1"]]


def test_lost_notifications_are_made_up_for_by_one_full_round_that_began_after_the_word_of_it(bench: Bench) -> None:
    request = missed(bench)
    bench.advance(request)
    bench.advance(request)
    bench.advance()
    assert len(full_rounds(bench)) == 1
    bench.advance(missed(bench))
    assert len(full_rounds(bench)) == 2
