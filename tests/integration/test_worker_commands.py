"""Commands: done once however often they are delivered, answered by one result, and never lost with a message."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from common import topology
from common.broker.consumer import Delivery
from common.broker.publisher import Publisher
from common.clock import utc_now
from common.commands import Command, CommandRefusedError, Verb
from common.db import erasure
from common.db.tables import commands, results
from common.errors import AccessError, BrokerUnavailableError, DatabaseUnavailableError, LeaseLostError
from common.graph.answers import GraphNotFoundError, GraphRefusedError
from common.graph.client import DeltaPage
from common.messages import Reason, Stream, decode_request
from tests.support.bench import Bench, settings
from tests.support.book import add_tenant, book, guid
from tests.support.deliveries import CountedDelivery
from tests.support.eventually import eventually
from tests.support.pen import group, member, person
from tests.support.recording_publisher import RecordingPublisher
from tests.support.running_worker import Queues, RunningWorker
from tests.support.scripted_graph import page
from worker import leases
from worker.commands import Commands
from worker.results import KEPT, Results

ANNA, CLEO = guid("anna"), guid("cleo")
SYNC_NOW = b'{"command": "sync_now", "tenant": "Contoso", "stream": "users"}'


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    """A tenant whose users have been read, up to the deltaLink `live`; nobody was told of that."""
    with book(database_url) as found:
        bench = Bench(found)
        bench.graph.on(bench.graph.FIRST, page(person(ANNA), end="live"))
        bench.graph.on("live", page(end="live"))
        bench.advance()
        tell(bench)
        bench.publisher.sent.clear()
        bench.graph.asked.clear()
        yield bench


@pytest.fixture
def queues(amqp_url: str) -> Queues:
    return Queues(amqp_url)


@contextmanager
def running(bench: Bench, amqp_url: str, *names: str) -> Iterator[RunningWorker]:
    taken = names or (topology.REQUESTS, topology.COMMANDS)
    with RunningWorker(bench, settings(amqp_url=amqp_url), taken) as worker:
        yield worker


def carry_out(bench: Bench, verb: Verb, command_id: str = "c1", **fields: Any) -> None:
    """Carry out a command, and take the turns that it asks for."""
    command = Command(verb, fields.pop("tenant", "Contoso"), fields.pop("stream", None), command_id, **fields)
    bench.publisher.sent.clear()
    Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher)).carry_out(command)
    for message in list(bench.publisher.sent):
        bench.advance(decode_request(message.body))


def tell(bench: Bench, publisher: RecordingPublisher | None = None) -> list[dict[str, Any]]:
    """Tell what there is to tell; what was published."""
    told = publisher or RecordingPublisher()
    Results(bench.book.database, cast("Publisher", told)).tell()
    return told.bodies


def stored(bench: Bench) -> list[Any]:
    with bench.book.database.read() as connection:
        return list(connection.execute(select(results).order_by(results.c.result_id)))


def answered(bench: Bench, command_id: str) -> list[Any]:
    return [row for row in stored(bench) if row.command_id == command_id]


# Once


def test_a_command_is_answered_when_its_last_part_is(bench: Bench) -> None:
    bench.graph.on(bench.graph.FIRST, page(end="groups"))
    carry_out(bench, Verb.SYNC_NOW, stream=Stream.USERS)
    [told] = [one for one in tell(bench) if "asked" in one]
    assert told["outcome"] == "done"
    assert told["asked"] == {"command": "sync_now", "tenant": "Contoso", "stream": "users"}
    assert (told["message_id"], told["tenants"], told["pages"]) == ("c1", 1, 1)
    assert told["summary"].startswith("sync_now of Contoso was done in ")
    assert tell(bench) == []


def test_nothing_is_told_while_a_part_is_under_way(bench: Bench) -> None:
    command = Command(Verb.SYNC_NOW, "Contoso", None, "c1")
    Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher)).carry_out(command)
    bench.advance(bench.request(Reason.OPERATOR))
    assert tell(bench) == []
    bench.graph.on(bench.graph.FIRST, page(end="live"))
    bench.advance(bench.request(Reason.OPERATOR, Stream.GROUPS))
    assert [one["outcome"] for one in tell(bench) if "asked" in one] == ["done"]


def test_a_message_that_is_published_twice_is_done_once_and_the_second_is_told_so(
    bench: Bench, queues: Queues, amqp_url: str
) -> None:
    with running(bench, amqp_url) as worker:
        for _ in range(2):
            queues.put(topology.COMMANDS, SYNC_NOW, message_id="c1")
        eventually(lambda: (worker.tell(), len(answered(bench, "c1")) == 2)[1], what="two answers")
    assert sorted(row.outcome for row in answered(bench, "c1")) == ["done", "repeated"]
    assert len([one for one in bench.history() if one["request_ids"] == ["c1"]]) == 1
    [repeated] = [row for row in answered(bench, "c1") if row.outcome == "repeated"]
    assert "another message id" in repeated.summary


@pytest.mark.parametrize("message_id", ["c1", None], ids=["with an id", "typed without one"])
def test_a_delivery_that_comes_again_is_answered_once(
    bench: Bench, queues: Queues, amqp_url: str, message_id: str | None
) -> None:
    """The connection ends after the command was written down and before the message was settled."""
    with running(bench, amqp_url) as worker:
        lost = _lose_the_connection_after_the_first(worker)
        queues.put(topology.COMMANDS, SYNC_NOW, message_id=message_id)
        eventually(lambda: lost == [0, 1], what="the same message once more")
        eventually(lambda: (worker.tell(), _answers(bench))[1])
        eventually(lambda: queues.count(topology.COMMANDS) == 0)
        worker.tell()
    assert [row.outcome for row in _answers(bench)] == ["done"]


def _lose_the_connection_after_the_first(worker: RunningWorker) -> list[int]:
    """Lose the connection when the first command is done but not settled; how often each had come back by then."""
    taken: list[int] = []
    take = worker.commands.take

    def take_and_lose(delivery: Delivery) -> None:
        take(delivery)
        taken.append(delivery.count)
        if len(taken) == 1:
            worker.lose_the_connection()

    worker.commands.take = take_and_lose  # type: ignore[method-assign]
    return taken


def _answers(bench: Bench) -> list[Any]:
    return [row for row in stored(bench) if row.kind == "command"]


def take(bench: Bench, body: bytes, *, message_id: str = "", came_back: int = 0) -> None:
    """Take a delivery from the queue."""
    bench.publisher.sent.clear()
    maker = Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher))
    maker.take(CountedDelivery(body, queue=topology.COMMANDS, message_id=message_id, came_back=came_back))


def test_typed_without_ids_the_last_of_several_commands_counts_although_all_come_again(bench: Bench) -> None:
    pause, resume = (b'{"command": "%s", "tenant": "*"}' % verb.encode() for verb in (Verb.PAUSE, Verb.RESUME))
    take(bench, pause)
    take(bench, resume)
    for body in (pause, resume, pause):
        take(bench, body, came_back=1)
    assert bench.tenant()["state"] == "paused"


def test_the_same_command_typed_twice_is_done_twice(bench: Bench) -> None:
    take(bench, SYNC_NOW)
    take(bench, SYNC_NOW)
    assert len(bench.row()["waiting_request_ids"]) == 2


def test_what_was_refused_is_answered_once_however_often_it_is_delivered_and_may_be_tried_again(bench: Bench) -> None:
    body = SYNC_NOW.replace(b"Contoso", b"Fabrikam")
    for came_back in (0, 1, 2):
        with pytest.raises(CommandRefusedError, match="No tenant has this id"):
            take(bench, body, message_id="c1", came_back=came_back)
        tell(bench)
    assert [row.outcome for row in answered(bench, "c1")] == ["refused"]
    bench.book.tenant(name="Fabrikam")
    take(bench, body, message_id="c1")
    bench.advance(bench.request(Reason.OPERATOR))
    tell(bench)
    assert [row.outcome for row in answered(bench, "c1")] == ["refused", "done"]


@pytest.mark.parametrize("message_id", ["c\0", "ż" * 120, "\ud800"])
def test_whatever_stands_in_a_message_id_the_command_is_done(bench: Bench, message_id: str) -> None:
    take(bench, SYNC_NOW, message_id=message_id)
    bench.advance(bench.request(Reason.OPERATOR))
    assert [one["outcome"] for one in tell(bench) if "asked" in one] == ["done"]


# Nothing is lost with a message


def test_what_a_command_wishes_for_is_in_the_rows_although_its_requests_are_lost(bench: Bench) -> None:
    bench.publisher.away = True
    with pytest.raises(BrokerUnavailableError):
        take(bench, b'{"command": "full_resync", "tenant": "*", "stream": "users"}', message_id="c1")
    assert bench.row()["next_poll_at"] <= utc_now() + timedelta(seconds=6)
    bench.publisher.away = False
    take(bench, b'{"command": "full_resync", "tenant": "*", "stream": "users"}', message_id="c1", came_back=1)
    bench.advance(bench.request(Reason.POLL))
    assert [one["outcome"] for one in tell(bench) if "asked" in one] == ["done"]
    assert [one["request_ids"] for one in bench.history() if one["mode"] == "full"] == [[], ["c1"]]


def test_a_command_for_all_goes_on_where_it_was_interrupted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench.book.database.write() as connection:
        add_tenant(connection, "Fabrikam", None)
    note, noted = leases.note_wishes, []

    def fail_once(connection: Any, key: Any, *rest: Any) -> None:
        noted.append(key)
        if len(noted) == 3:
            raise DatabaseUnavailableError("The database is away.")
        note(connection, key, *rest)

    monkeypatch.setattr(leases, "note_wishes", fail_once)
    body = b'{"command": "sync_now", "tenant": "*"}'
    with pytest.raises(DatabaseUnavailableError):
        take(bench, body, message_id="c1")
    take(bench, body, message_id="c1", came_back=1)
    assert len(noted) == 3 + 4  # those that were noted are noted again, which changes nothing
    assert bench.row()["waiting_request_ids"] == ["c1"]
    assert len(bench.publisher.sent) == 4


def test_results_wait_for_the_broker_and_are_told_with_the_same_id(bench: Bench) -> None:
    carry_out(bench, Verb.SYNC_NOW, stream=Stream.USERS)
    with pytest.raises(BrokerUnavailableError):
        tell(bench, RecordingPublisher(away=True))
    [row] = answered(bench, "c1")
    assert tell(bench) == []  # another worker may be about to tell it
    with bench.book.database.write() as connection:
        connection.execute(update(results).values(publish_after=utc_now() - timedelta(seconds=1)))
    publisher = RecordingPublisher()
    tell(bench, publisher)
    assert row.message_id in [message.message_id for message in publisher.sent]
    assert [one.correlation_id for one in publisher.sent if one.message_id == row.message_id] == ["c1"]
    assert tell(bench) == []


def test_what_is_old_is_forgotten_but_not_a_command_that_is_not_finished(bench: Bench) -> None:
    carry_out(bench, Verb.SYNC_NOW, stream=Stream.USERS)
    tell(bench)
    Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher)).carry_out(
        Command(Verb.SYNC_NOW, "Contoso", Stream.USERS, "c2")
    )
    long_ago = utc_now() - KEPT - timedelta(minutes=1)
    with bench.book.database.write() as connection:
        connection.execute(update(results).values(at=long_ago))
        connection.execute(update(commands).where(commands.c.command_id == "c1").values(finished_at=long_ago))
        connection.execute(update(commands).values(received_at=long_ago))
    tell(bench)
    assert stored(bench) == []
    with bench.book.database.read() as connection:
        assert list(connection.scalars(select(commands.c.command_id))) == ["c2"]


def test_a_tenant_that_is_removed_meanwhile_holds_up_no_answer(bench: Bench) -> None:
    take(bench, b'{"command": "sync_now", "tenant": "*"}', message_id="c1")
    with bench.book.database.write() as connection:
        erasure.erase(connection, bench.book.tenant_id)
    assert [one["summary"] for one in tell(bench)] == ["sync_now of all tenants: there was nothing to do."]


# Troubles are told


def test_a_part_that_fails_is_told_with_its_reason(bench: Bench) -> None:
    bench.graph.on("live", AccessError("The client secret has expired.", "Make a new one.", "AADSTS7000222"))
    with pytest.raises(AccessError):
        carry_out(bench, Verb.SYNC_NOW, stream=Stream.USERS)
    [told] = [one for one in tell(bench) if "asked" in one]
    assert (told["outcome"], told["troubles_in_all"]) == ("failed", 1)
    assert told["troubles"][0]["error"] == "The client secret has expired. Make a new one."
    assert told["summary"].endswith("sync_now of Contoso failed: The client secret has expired. Make a new one.")


def test_a_full_round_that_nobody_asked_for_is_told_too(bench: Bench) -> None:
    bench.book.stream(Stream.USERS, last_full_at=utc_now() - timedelta(days=30))
    bench.advance(bench.request(Reason.POLL))
    [told] = tell(bench)
    assert (told["stream"], told["reason"], told["objects"], told["tenant"]) == ("users", "calendar", 1, "Contoso")
    assert told["summary"].startswith("Contoso: all users were read in ")


# Pause


def test_a_paused_tenant_is_not_read_and_commands_say_so(bench: Bench) -> None:
    carry_out(bench, Verb.PAUSE, reason="moving house")
    assert (bench.tenant()["state"], bench.tenant()["state_reason"]) == ("paused", "moving house")
    bench.graph.asked.clear()
    carry_out(bench, Verb.FULL_RESYNC, "c2", stream=Stream.USERS)
    bench.advance(bench.request())
    assert bench.graph.asked == []
    told = {one["message_id"]: one["summary"] for one in tell(bench) if "asked" in one}
    assert "The tenant is paused" in told["c2"]
    carry_out(bench, Verb.RESUME, "c3")
    assert bench.row()["full_wanted_at"] is None  # what was answered is not done later
    assert "live" in bench.graph.asked


def test_from_the_answer_on_nothing_more_of_a_paused_tenant_is_written(bench: Bench) -> None:
    def pause_meanwhile() -> DeltaPage:
        take(bench, b'{"command": "pause", "tenant": "*"}', message_id="c2")
        return page(person(CLEO), end="live")

    bench.graph.on("live", pause_meanwhile)
    with pytest.raises(LeaseLostError):
        carry_out(bench, Verb.SYNC_NOW, stream=Stream.USERS)
    assert bench.people() == {ANNA}
    told = {one["message_id"]: one["outcome"] for one in tell(bench) if "asked" in one}
    assert told == {"c1": "failed", "c2": "done"}


def test_pausing_twice_and_resuming_twice_is_said(bench: Bench) -> None:
    for command_id, verb in (("c1", Verb.PAUSE), ("c2", Verb.PAUSE), ("c3", Verb.RESUME), ("c4", Verb.RESUME)):
        take(bench, b'{"command": "%s", "tenant": "*"}' % verb.encode(), message_id=command_id)
    told = {one["message_id"]: one["summary"] for one in tell(bench)}
    assert "It was paused already." in told["c2"]
    assert "Resumed" in told["c3"]
    assert "It was not paused." in told["c4"]


# One object


def test_one_person_is_read_itself_and_who_is_not_known_is_added(bench: Bench) -> None:
    bench.graph.on(f"users/{CLEO}", person(CLEO))
    carry_out(bench, Verb.RESYNC_OBJECT, object_id=CLEO, stream=Stream.USERS)
    assert bench.people() == {ANNA, CLEO}
    [told] = [one for one in tell(bench) if "asked" in one]
    assert (told["outcome"], told["added"], told["asked"]["object"]) == ("done", 1, CLEO)


def test_an_object_that_graph_does_not_know_is_said_to_be_unknown(bench: Bench) -> None:
    bench.graph.on(f"users/{ANNA}", GraphNotFoundError("Graph answered 404."))
    carry_out(bench, Verb.RESYNC_OBJECT, object_id=ANNA)
    assert bench.people() == {ANNA}
    assert "Graph shows nothing of it now" in next(one for one in tell(bench) if "asked" in one)["summary"]


def test_an_object_that_cannot_be_read_is_an_answer_too(bench: Bench) -> None:
    bench.graph.on(f"users/{ANNA}", GraphRefusedError("Graph answered 400.", 400, "BadRequest"))
    carry_out(bench, Verb.RESYNC_OBJECT, object_id=ANNA)
    [told] = [one for one in tell(bench) if "asked" in one]
    assert (told["outcome"], told["troubles"][0]["error"]) == ("failed", "Graph answered 400.")


def test_two_who_ask_for_the_same_object_are_both_answered(bench: Bench) -> None:
    bench.graph.on(f"users/{ANNA}", person(ANNA))
    body = b'{"command": "resync_object", "tenant": "*", "object": "%s"}' % ANNA.encode()
    take(bench, body, message_id="c1")
    take(bench, body, message_id="c2")
    bench.advance(bench.request(Reason.OPERATOR))
    assert {one["message_id"]: one["outcome"] for one in tell(bench) if "asked" in one} == {"c1": "done", "c2": "done"}


def test_a_group_is_answered_when_its_members_were_read(bench: Bench) -> None:
    staff = guid("staff")
    bench.graph.on(bench.graph.FIRST, page(group(staff), end="groups"))
    bench.graph.on("groups", page(end="groups"))
    bench.advance(bench.request(stream=Stream.GROUPS))
    bench.graph.on(f"groups/{staff}", {"id": staff, "displayName": "Staff"})
    bench.graph.on(f"members/{staff}", [member(ANNA)])
    carry_out(bench, Verb.RESYNC_OBJECT, object_id=staff)
    assert bench.pen.edges() == {(staff, ANNA)}
    [told] = [one for one in tell(bench) if "asked" in one]
    assert (told["outcome"], told["added"]) == ("done", 1)
