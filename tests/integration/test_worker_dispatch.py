"""From messages to work and back, with a real broker: what is settled when, and where everything else goes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select

from common import messages, topology
from common.broker.publisher import Publisher
from common.clock import utc_now
from common.db.tables import subscriptions
from common.errors import AccessError, DatabaseUnavailableError
from common.graph.answers import GraphThrottledError, GraphUnavailableError
from common.graph.client import DeltaPage
from common.messages import LifecycleEvent, LifecycleNotice, Mode, Reason, Stream, SyncRequest
from tests.support.bench import Bench, settings
from tests.support.book import add_tenant, book, guid
from tests.support.deliveries import CountedDelivery
from tests.support.eventually import eventually
from tests.support.pen import person
from tests.support.recording_publisher import RecordingPublisher
from tests.support.running_worker import PREFETCH, Queues, RunningWorker
from tests.support.scripted_graph import page
from worker.advance import GIVEN_UP_POLL
from worker.commands import Commands
from worker.dispatch import WORN_COUNT, Dispatch
from worker.inbox import Inbox
from worker.leases import StreamKey
from worker.lifecycle import Lifecycle

CLEO = guid("cleo")
DOWN = GraphUnavailableError("Graph answered 503.")


@pytest.fixture
def bench(sqlite_url: str) -> Iterator[Bench]:
    """A tenant whose users have been read, up to the deltaLink `live`."""
    with book(sqlite_url) as found:
        bench = Bench(found)
        bench.graph.on(bench.graph.FIRST, page(end="live"))
        bench.graph.on("live", page(end="live"))
        bench.advance()
        bench.graph.asked.clear()
        yield bench


@pytest.fixture
def queues(amqp_url: str) -> Queues:
    return Queues(amqp_url)


@contextmanager
def running(bench: Bench, amqp_url: str, *queues: str) -> Iterator[RunningWorker]:
    taken = queues or (topology.REQUESTS, topology.LIFECYCLE, topology.COMMANDS)
    with RunningWorker(bench, settings(amqp_url=amqp_url), taken) as worker:
        yield worker


def put(queues: Queues, request: SyncRequest) -> None:
    queues.put(topology.REQUESTS, messages.encode(request))


def asked(bench: Bench, times: int) -> None:
    eventually(lambda: bench.graph.asked.count("live") >= times, what=f"{times} rounds")


# Requests


def test_a_request_is_answered_and_settled(bench: Bench, queues: Queues, amqp_url: str) -> None:
    bench.graph.on("live", page(person(CLEO), end="live"))
    put(queues, bench.request())
    with running(bench, amqp_url):
        eventually(lambda: bench.people() == {CLEO})
    assert queues.count(topology.REQUESTS) == 0
    assert queues.count(topology.DEAD_LETTERS) == 0


def test_an_unreadable_message_is_put_aside_with_its_reason_and_the_loop_goes_on(
    bench: Bench, queues: Queues, amqp_url: str
) -> None:
    queues.put(topology.REQUESTS, b'{"tenant_id": "me"}')
    put(queues, bench.request())
    with running(bench, amqp_url):
        asked(bench, 1)
        letter = eventually(lambda: queues.take(topology.DEAD_LETTERS))
    assert letter.body == b'{"tenant_id": "me"}'
    assert letter.headers["x-reason"] == "unreadable"
    assert letter.headers["x-origin-queue"] == topology.REQUESTS
    assert letter.headers["x-error"] == '"tenant_id" must be a GUID.'


def test_a_request_for_an_unknown_tenant_is_settled(bench: Bench, queues: Queues, amqp_url: str) -> None:
    put(queues, SyncRequest(guid("nobody"), Stream.USERS, Reason.POLL, utc_now()))
    put(queues, bench.request())
    with running(bench, amqp_url):
        asked(bench, 1)
    assert queues.count(topology.REQUESTS) == queues.count(topology.DEAD_LETTERS) == 0


def test_a_failed_request_comes_back_after_its_delay_and_is_done(bench: Bench, queues: Queues, amqp_url: str) -> None:
    bench.graph.on("live", DOWN, page(person(CLEO), end="live"))
    put(queues, bench.request())
    with running(bench, amqp_url):
        eventually(lambda: bench.people() == {CLEO})
    assert bench.row()["failures"] == 0


@pytest.mark.parametrize(
    ("error", "attempt", "queue", "next_attempt"),
    [
        (DOWN, 5, topology.delayed_queue(60), 6),
        (GraphThrottledError("Graph answered 429.", 55.0), 5, topology.delayed_queue(61), 5),
        (GraphThrottledError("Graph answered 429."), 5, topology.delayed_queue(60), 6),
    ],
)
def test_a_retry_waits_in_the_queue_of_its_delay(
    bench: Bench, queues: Queues, amqp_url: str, error: Exception, attempt: int, queue: str, next_attempt: int
) -> None:
    bench.graph.on("live", error)
    put(queues, bench.request(object_ids=(CLEO,), attempt=attempt))
    with running(bench, amqp_url):
        delayed = eventually(
            lambda: next((found for name in (queue, topology.delayed_queue(60)) if (found := queues.take(name))), None)
        )
    again = messages.decode_request(delayed.body)
    assert (again.attempt, again.object_ids, again.reason) == (next_attempt, (CLEO,), Reason.NOTIFICATION)


def test_a_request_that_failed_too_often_is_left_to_the_poll_and_its_command_answered(
    bench: Bench, queues: Queues, amqp_url: str
) -> None:
    bench.graph.on("live", DOWN)
    put(queues, replace(bench.look("r1"), attempt=8))
    with running(bench, amqp_url):
        eventually(lambda: [one for one in bench.history() if one["outcome"] == "failed"])
    assert bench.history()[-1]["request_ids"] == ["r1"]
    assert sum(queues.count(queue.name) for queue in topology.queues()) == 0


def test_what_only_a_person_can_mend_is_settled_and_noted(bench: Bench, queues: Queues, amqp_url: str) -> None:
    bench.graph.on("live", AccessError("The client secret has expired.", "Make a new one.", "AADSTS7000222"))
    put(queues, bench.request())
    with running(bench, amqp_url):
        eventually(lambda: bench.tenant()["state"] == "access_failed")
    assert sum(queues.count(queue.name) for queue in topology.queues()) == 0


def test_a_stream_whose_requests_were_given_up_is_polled_soon(bench: Bench, queues: Queues, amqp_url: str) -> None:
    for trouble, request in (
        (DOWN, lambda: bench.request(attempt=8)),
        (TypeError("a defect"), lambda: bench.look("r1")),
    ):
        bench.graph.on("live", trouble)
        put(queues, request())
        bench.book.stream(Stream.USERS, next_poll_at=utc_now() + timedelta(days=1))
        with running(bench, amqp_url):
            eventually(lambda: bench.row()["next_poll_at"] < utc_now() + GIVEN_UP_POLL + timedelta(seconds=30))
    answer = bench.history()[-1]
    assert (answer["request_ids"], answer["outcome"]) == (["r1"], "failed")
    assert answer["error"] == "A defect of the worker (TypeError): its log tells more."


def test_a_defect_is_put_aside_and_the_loop_goes_on(bench: Bench, queues: Queues, amqp_url: str) -> None:
    bench.graph.on("live", TypeError("a defect"), page(person(CLEO), end="live"))
    put(queues, bench.request())
    with running(bench, amqp_url):
        letter = eventually(lambda: queues.take(topology.DEAD_LETTERS))
        put(queues, bench.request())
        eventually(lambda: bench.people() == {CLEO})
    assert (letter.headers["x-reason"], letter.headers["x-error"]) == ("defect", "TypeError")


def test_nothing_is_settled_before_its_work_is_committed(bench: Bench, queues: Queues, amqp_url: str) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def held_up() -> DeltaPage:
        begun.set()
        assert may_go_on.wait(30)
        return page(person(CLEO), end="live")

    bench.graph.on("live", held_up, page(end="live"))
    put(queues, bench.request())
    with running(bench, amqp_url) as worker:
        assert begun.wait(30)
        worker.lose_the_connection()  # all that is unsettled comes again
        may_go_on.set()
        asked(bench, 2)
    assert bench.people() == {CLEO}
    assert queues.count(topology.REQUESTS) == queues.count(topology.DEAD_LETTERS) == 0


def test_what_waits_when_the_worker_ends_goes_back_to_the_broker(bench: Bench, queues: Queues, amqp_url: str) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def held_up() -> DeltaPage:
        begun.set()
        assert may_go_on.wait(30)
        return page(end="live")

    bench.graph.on("live", held_up)
    put(queues, bench.request())
    with running(bench, amqp_url) as worker:
        assert begun.wait(30)
        put(queues, bench.request())
        eventually(lambda: worker.inbox.has_waiting(StreamKey(bench.book.tenant_id, Stream.USERS)))
        worker.inbox.close()
        may_go_on.set()
    assert eventually(lambda: queues.count(topology.REQUESTS)) >= 1


def test_no_number_of_lost_connections_makes_a_dead_letter_of_a_request(
    bench: Bench, queues: Queues, amqp_url: str
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def held_up() -> DeltaPage:
        begun.set()
        assert may_go_on.wait(120)
        return page(person(CLEO), end="live")

    bench.graph.on("live", held_up, page(end="live"))
    put(queues, bench.look("r1"))
    with running(bench, amqp_url) as worker:
        assert begun.wait(30)
        counts = []
        for _ in range(topology.DELIVERY_LIMIT + 2):
            worker.lose_the_connection()
            counts.append(max(eventually(lambda: list(worker.counts))))
        may_go_on.set()
        assert sorted(set(counts)) == list(range(1, WORN_COUNT + 1))
        eventually(lambda: bench.history()[-1]["request_ids"] == ["r1"])
        eventually(lambda: queues.count(topology.REQUESTS) == 0)
    assert queues.count(topology.DEAD_LETTERS) == 0


def test_a_backlog_of_one_stream_does_not_keep_the_requests_of_others_from_the_worker(
    bench: Bench, queues: Queues, amqp_url: str
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def held_up() -> DeltaPage:
        begun.set()
        assert may_go_on.wait(120)
        return page(end="live")

    bench.graph.on("live", held_up, page(end="live"))
    put(queues, bench.look("first"))
    with running(bench, amqp_url) as worker:
        assert begun.wait(30)
        backlog = [f"r{number}" for number in range(3 * PREFETCH)]
        for request_id in backlog:
            put(queues, bench.look(request_id))
        other = bench.request(stream=Stream.GROUPS)
        put(queues, other)
        key = StreamKey(other.tenant_id, Stream.GROUPS)
        try:
            eventually(lambda: worker.inbox.has_waiting(key), what="the request of the other stream")
        finally:
            may_go_on.set()
        eventually(lambda: {one for row in bench.history() for one in row["request_ids"]} >= {"first", *backlog})
        eventually(lambda: queues.count(topology.REQUESTS) == 0)
    assert queues.count(topology.DEAD_LETTERS) == 0


# Commands


def carried_out(bench: Bench, queues: Queues, amqp_url: str, body: bytes, count: int) -> list[SyncRequest]:
    """The requests that a command becomes."""
    queues.put(topology.COMMANDS, body)
    with running(bench, amqp_url, topology.COMMANDS):
        eventually(lambda: queues.count(topology.REQUESTS) == count)
    found = [queues.take(topology.REQUESTS) for _ in range(count)]
    return [messages.decode_request(one.body) for one in found if one]


def test_a_command_may_be_typed_by_hand(bench: Bench, queues: Queues, amqp_url: str) -> None:
    body = b'{"command": "full_resync", "tenant": "Contoso", "stream": "groups"}'
    [request] = carried_out(bench, queues, amqp_url, body, 1)
    assert (request.tenant_id, request.stream) == (bench.book.tenant_id, Stream.GROUPS)
    assert request.reason is Reason.OPERATOR
    assert bench.row(Stream.GROUPS)["full_wanted_reason"] == Reason.OPERATOR
    assert bench.row()["full_wanted_at"] is None


def test_a_command_may_mean_all_tenants_and_both_streams(bench: Bench, queues: Queues, amqp_url: str) -> None:
    with bench.book.database.write() as connection:
        other = add_tenant(connection, "Fabrikam", None)
    requests = carried_out(bench, queues, amqp_url, b'{"command": "sync_now", "tenant": "*"}', 4)
    meant = {(one.tenant_id, one.stream) for one in requests}
    assert meant == {(tenant, stream) for tenant in (bench.book.tenant_id, other) for stream in Stream}
    assert bench.row()["full_wanted_at"] is None


def test_a_command_with_an_id_is_answered_by_that_id(bench: Bench, queues: Queues, amqp_url: str) -> None:
    body = b'{"command": "sync_now", "tenant": "Contoso", "stream": "users"}'
    queues.put(topology.COMMANDS, body, message_id="r1")
    with running(bench, amqp_url):
        eventually(lambda: bench.history()[-1]["request_ids"] == ["r1"])


def test_a_command_that_cannot_be_read_is_put_aside(bench: Bench, queues: Queues, amqp_url: str) -> None:
    queues.put(topology.COMMANDS, b"resync please")
    with running(bench, amqp_url):
        letter = eventually(lambda: queues.take(topology.DEAD_LETTERS))
    assert letter.headers["x-origin-queue"] == topology.COMMANDS
    assert letter.headers["x-error"] == "The body is not JSON."


# Lifecycle


def noticed(bench: Bench, queues: Queues, amqp_url: str, event: LifecycleEvent) -> None:
    now = utc_now()
    bench.book.subscription(Stream.USERS, guid("subscription"), now)
    late = now.replace(year=now.year + 1)
    bench.book.tenant(reconcile_at=late)
    with bench.book.database.write() as connection:
        connection.execute(subscriptions.update().values(renewed_at=now.replace(year=now.year - 1), renew_at=late))
    notice = LifecycleNotice(bench.book.tenant_id, Stream.USERS, event, guid("subscription"), now)
    queues.put(topology.LIFECYCLE, messages.encode(notice))
    with running(bench, amqp_url, topology.LIFECYCLE):
        eventually(lambda: bench.tenant()["reconcile_at"] < late)


def test_a_challenge_makes_the_subscription_due_for_renewal(bench: Bench, queues: Queues, amqp_url: str) -> None:
    noticed(bench, queues, amqp_url, LifecycleEvent.REAUTHORIZATION_REQUIRED)
    with bench.book.database.read() as connection:
        [renew_at] = connection.scalars(select(subscriptions.c.renew_at))
    assert renew_at <= utc_now()
    assert queues.count(topology.REQUESTS) == 0


@pytest.mark.parametrize("event", [LifecycleEvent.MISSED, LifecycleEvent.SUBSCRIPTION_REMOVED])
def test_lost_notifications_call_for_a_full_round(
    bench: Bench, queues: Queues, amqp_url: str, event: LifecycleEvent
) -> None:
    noticed(bench, queues, amqp_url, event)
    found = queues.take(topology.REQUESTS)
    assert found is not None
    request = messages.decode_request(found.body)
    assert (request.mode, request.reason, request.stream) == (Mode.FULL, Reason.MISSED, Stream.USERS)
    with bench.book.database.read() as connection:
        known = connection.execute(select(subscriptions)).all()
    assert bool(known) == (event is LifecycleEvent.MISSED)


def test_a_challenge_soon_after_a_renewal_is_left_out(sqlite_url: str) -> None:
    with book(sqlite_url) as found:
        now = utc_now()
        late = now.replace(year=now.year + 1)
        found.subscription(Stream.USERS, guid("subscription"), late)
        with found.database.write() as connection:
            connection.execute(subscriptions.update().values(renewed_at=now, renew_at=late))
        event = LifecycleEvent.REAUTHORIZATION_REQUIRED
        notice = LifecycleNotice(found.tenant_id, Stream.USERS, event, guid("subscription"), now)
        Lifecycle(found.database, cast("Publisher", RecordingPublisher())).take_note(notice)
        with found.database.read() as connection:
            assert list(connection.scalars(select(subscriptions.c.renew_at))) == [late]


# Without a broker to lean on


class Desk:
    """A dispatch whose publisher remembers, or is away."""

    def __init__(self, bench: Bench) -> None:
        self.publisher = bench.publisher
        self.inbox = Inbox()
        publisher = cast("Publisher", self.publisher)
        database = bench.book.database
        self.dispatch = Dispatch(
            self.inbox,
            bench.advancer(),
            publisher,
            Commands(settings(), database, publisher),
            Lifecycle(database, publisher),
        )

    def work_once(self) -> None:
        taken = self.inbox.take()
        assert taken is not None
        self.dispatch._advance(*taken)
        self.inbox.done(taken[0])


@pytest.fixture
def desk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("worker.dispatch.REPUT_SECONDS", 0.05)
    desk = Desk(bench)
    yield desk
    desk.inbox.close()
    desk.dispatch.close()


def delivered(bench: Bench, **more: Any) -> CountedDelivery:
    return CountedDelivery(messages.encode(bench.request()), **more)


def test_a_worn_request_is_kept_and_answered_while_nothing_can_be_published(bench: Bench, desk: Desk) -> None:
    bench.graph.on("live", page(end="live"))
    desk.publisher.away = True
    delivery = delivered(bench, came_back=WORN_COUNT)
    desk.dispatch.receive(delivery)
    desk.work_once()
    assert delivery.settled == 1
    assert bench.graph.asked == ["live"]


def test_while_nothing_can_be_published_a_failed_request_is_kept_and_tried_again(bench: Bench, desk: Desk) -> None:
    bench.graph.on("live", DOWN, page(end="live"))
    desk.publisher.away = True
    delivery = delivered(bench)
    desk.dispatch.receive(delivery)
    desk.work_once()
    assert delivery.settled == 0
    desk.work_once()
    assert delivery.settled == 1


def test_while_nothing_can_be_published_a_defect_is_kept_and_tried_again(bench: Bench, desk: Desk) -> None:
    bench.graph.on("live", TypeError("a defect"))
    desk.publisher.away = True
    delivery = delivered(bench)
    desk.dispatch.receive(delivery)
    desk.work_once()
    assert delivery.settled == 0
    desk.publisher.away = False
    desk.work_once()
    assert delivery.settled == 1
    assert [letter.headers["x-reason"] for letter in desk.publisher.sent] == ["defect"]


def test_while_nothing_can_be_published_an_unreadable_message_is_kept_and_put_aside_later(
    bench: Bench, desk: Desk
) -> None:
    desk.publisher.away = True
    request, command = CountedDelivery(b"?"), CountedDelivery(b"?", queue=topology.COMMANDS)
    desk.dispatch.receive(request)
    desk.dispatch.receive(command)
    desk.dispatch._errands.submit(lambda: None).result(30)
    assert request.settled == command.settled == 0
    desk.publisher.away = False
    eventually(lambda: request.settled == command.settled == 1)


def test_a_command_waits_for_a_database_that_is_away(bench: Bench, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def lost() -> Any:
        tries.append(1)
        raise DatabaseUnavailableError("The database failed.")

    monkeypatch.setattr(bench.book.database, "read", lost)
    command = CountedDelivery(b'{"command": "sync_now", "tenant": "*"}', queue=topology.COMMANDS)
    desk.dispatch.receive(command)
    eventually(lambda: len(tries) >= 2)
    assert command.settled == 0
    monkeypatch.undo()
    eventually(lambda: command.settled == 1)
    assert len(desk.publisher.sent) == 2


def test_no_failure_ends_a_thread_of_the_pool(bench: Bench, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a defect in the reaction to a failure")

    bench.graph.on("live", DOWN)
    monkeypatch.setattr(desk.dispatch, "_react", broken)
    delivery = delivered(bench)
    desk.dispatch.receive(delivery)
    thread = threading.Thread(target=desk.dispatch.work)
    thread.start()
    eventually(lambda: bench.graph.asked == ["live"])
    other = CountedDelivery(messages.encode(SyncRequest(guid("nobody"), Stream.USERS, Reason.POLL, utc_now())))
    desk.dispatch.receive(other)
    eventually(lambda: other.settled == 1)
    assert delivery.settled == 0
    desk.inbox.close()
    thread.join(30)


def test_answered_requests_of_a_stream_are_settled_together(bench: Bench, desk: Desk) -> None:
    deliveries = [delivered(bench) for _ in range(50)]
    for one in deliveries:
        desk.dispatch.receive(one)
    desk.work_once()
    assert [one.settled for one in deliveries] == [1] * 50
    assert bench.graph.asked == ["live"]


@pytest.mark.parametrize("name", ["Contoso", "contoso.EXAMPLE", guid("Contoso"), " contoso ", guid("Contoso").upper()])
def test_a_command_means_a_tenant_by_id_domain_or_name(bench: Bench, desk: Desk, name: str) -> None:
    command = CountedDelivery(json.dumps({"command": "sync_now", "tenant": name}).encode(), queue=topology.COMMANDS)
    desk.dispatch.receive(command)
    eventually(lambda: command.settled == 1)
    assert {body["tenant_id"] for body in desk.publisher.bodies} == {bench.book.tenant_id}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"resync please", "not JSON"),
        (b"[]", "not an object"),
        (b'{"command": "explode", "tenant": "*"}', "must be one of: full_resync, sync_now"),
        (b'{"command": "sync_now"}', "give an id, a domain, a name"),
        (b'{"command": "sync_now", "tenant": "*", "stream": "people"}', "must be one of: users, groups"),
        (b'{"command": "sync_now", "tenant": "Fabrikam"}', "entra-sms tenants list"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_what_would_have_been_right(
    desk: Desk, body: bytes, words: str
) -> None:
    command = CountedDelivery(body, queue=topology.COMMANDS)
    desk.dispatch.receive(command)
    eventually(lambda: command.settled == 1)
    [letter] = desk.publisher.sent
    assert words in str(letter.headers["x-error"])
