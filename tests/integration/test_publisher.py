"""The publisher against a real broker: what is confirmed is there, what is not raises, and it comes back by itself."""

import gc
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pika
import pytest
from pika.adapters.select_connection import SelectConnection

import common
from common import config, topology
from common.broker import outgoing
from common.broker.outgoing import Outgoing
from common.broker.publisher import Publisher
from common.clock import from_text, utc_now
from common.errors import BrokerUnavailableError
from common.messages import Reason, Stream, SyncRequest
from tests.support.eventually import eventually
from tests.support.mortal_broker import MortalBroker
from tests.support.notifications import TENANT

MakePublisher = Callable[[str], Publisher]


@pytest.fixture
def make_publisher() -> Iterator[MakePublisher]:
    made: list[Publisher] = []

    def make(amqp_url: str) -> Publisher:
        made.append(Publisher(config.load({"ENTRA_SMS_AMQP_URL": amqp_url}), "tests"))
        return made[-1]

    yield make
    for publisher in made:
        publisher.close()


def request_message() -> Outgoing:
    return outgoing.request(SyncRequest(TENANT, Stream.USERS, Reason.NOTIFICATION, utc_now()))


def messages_of(amqp_url: str, queue: str) -> list[tuple[Any, Any, bytes]]:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        found = []
        while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
            found.append(message)
        return found


def test_a_confirmed_message_is_in_the_queue_and_says_what_it_is(amqp_url: str, make_publisher: MakePublisher) -> None:
    message = request_message()
    make_publisher(amqp_url).publish(message)

    [(_, properties, body)] = messages_of(amqp_url, topology.REQUESTS)
    assert body == message.body
    assert (properties.type, properties.app_id, properties.message_id) == ("sync_request", "tests", message.message_id)
    assert (properties.content_type, properties.delivery_mode) == ("application/json", 2)
    assert int(from_text(properties.headers["x-sent-at"]).timestamp()) == properties.timestamp
    assert properties.headers.items() >= {"x-tenant": TENANT, "x-stream": "users", "x-reason": "notification"}.items()


def test_a_delayed_message_waits_and_then_comes_to_the_requests(amqp_url: str, make_publisher: MakePublisher) -> None:
    message = outgoing.request(SyncRequest(TENANT, Stream.USERS, Reason.FOLLOW_UP, utc_now()), delay_seconds=0.5)
    make_publisher(amqp_url).publish(message)

    [(_, properties, body)] = eventually(lambda: messages_of(amqp_url, topology.REQUESTS))
    assert body == message.body
    assert properties.headers["x-death"][0]["queue"] == "sync.delayed.1s"


def test_a_message_that_no_queue_takes_raises(amqp_url: str, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(amqp_url)
    with pytest.raises(BrokerUnavailableError, match=r"No queue takes messages for 'nowhere\.at\.all'"):
        publisher.publish(Outgoing(topology.EXCHANGE, "nowhere.at.all", "test", b"{}"))
    publisher.publish(request_message())


def test_one_unroutable_message_fails_the_whole_batch(amqp_url: str, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(amqp_url)
    with pytest.raises(BrokerUnavailableError):
        publisher.publish_all([request_message(), Outgoing("", "nowhere", "test", b"{}"), request_message()])
    assert len(eventually(lambda: messages_of(amqp_url, topology.REQUESTS))) == 2


def test_an_exchange_that_is_not_there_raises_and_the_publisher_goes_on(
    amqp_url: str, make_publisher: MakePublisher
) -> None:
    publisher = make_publisher(amqp_url)
    with pytest.raises(BrokerUnavailableError):
        publisher.publish(Outgoing("missing", "key", "test", b"{}"))
    eventually(publisher.is_connected)
    publisher.publish(request_message())


def test_a_full_queue_refuses_and_raises(amqp_url: str, make_publisher: MakePublisher) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        full = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        connection.channel().queue_declare("full", durable=True, arguments=full)
    publisher = make_publisher(amqp_url)

    def fill() -> None:
        for _ in range(10):
            publisher.publish(Outgoing("", "full", "test", b"{}"))

    with pytest.raises(BrokerUnavailableError, match="refused the message"):
        fill()


def test_what_many_threads_publish_at_once_is_all_confirmed_and_there(
    amqp_url: str, make_publisher: MakePublisher
) -> None:
    publisher = make_publisher(amqp_url)
    sent = [Outgoing("", topology.REQUESTS, "test", json.dumps(number).encode()) for number in range(600)]
    with ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda message: publisher.publish(message, timeout_seconds=60), sent))

    received = sorted(json.loads(body) for _, _, body in messages_of(amqp_url, topology.REQUESTS))
    assert received == list(range(600))


def test_without_a_broker_it_raises_and_soon_at_once(unused_port: int, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(f"amqp://guest:guest@127.0.0.1:{unused_port}/%2F")
    with pytest.raises(BrokerUnavailableError, match="cannot be reached"):
        publisher.publish(request_message(), timeout_seconds=0.1)
    assert not publisher.is_connected()
    # Once it is known that nobody is there, not even a caller with patience is kept waiting.
    eventually(lambda: publisher._given_up(10_000))
    with pytest.raises(BrokerUnavailableError, match="cannot be reached"):
        publisher.publish(request_message(), timeout_seconds=10_000)


def test_a_broker_that_accepts_and_says_nothing_raises(silent_port: int, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(f"amqp://guest:guest@127.0.0.1:{silent_port}/%2F")
    with pytest.raises(BrokerUnavailableError, match="cannot be reached"):
        publisher.publish(request_message(), timeout_seconds=0.2)


def test_an_unconfirmed_message_raises_after_its_time_and_later_ones_go_through(
    amqp_url: str, make_publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = make_publisher(amqp_url)
    publisher.publish(request_message())
    with monkeypatch.context() as patched:
        patched.setattr("common.broker.publisher._succeed", lambda _confirmed: None)  # the confirm is lost
        with pytest.raises(BrokerUnavailableError, match=r"did not confirm within 0\.1 s"):
            publisher.publish(request_message(), timeout_seconds=0.1)
    publisher.publish(request_message())


def test_it_keeps_publishing_after_a_defect_on_its_own_thread(
    amqp_url: str, make_publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    defects = iter([KeyError("a defect"), AssertionError("another")])

    def connect(*given: Any, **named: Any) -> SelectConnection:
        for defect in defects:
            raise defect
        return SelectConnection(*given, **named)

    monkeypatch.setattr("common.broker.publisher.SelectConnection", connect)
    publisher = make_publisher(amqp_url)
    eventually(publisher.is_connected)
    assert next(defects, None) is None
    publisher.publish(request_message())


def test_a_blocked_broker_counts_as_away_until_it_is_unblocked(amqp_url: str, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(amqp_url)
    publisher.publish(request_message())
    connection = publisher._connection
    assert connection is not None

    # As pika calls back when RabbitMQ has a memory or disk alarm; a real alarm would block every other test too.
    connection.ioloop.add_callback_threadsafe(lambda: publisher._on_blocked(connection, None))
    eventually(lambda: not publisher.is_connected())
    with pytest.raises(BrokerUnavailableError, match="cannot be reached"):
        publisher.publish(request_message(), timeout_seconds=0.1)

    connection.ioloop.add_callback_threadsafe(lambda: publisher._on_unblocked(connection, None))
    eventually(publisher.is_connected)
    publisher.publish(request_message())


def test_its_connection_says_which_process_it_is_what_it_does_and_of_which_version(
    amqp_url: str, make_publisher: MakePublisher, vhost: Any
) -> None:
    make_publisher(amqp_url).publish(request_message())
    [shown] = eventually(lambda: [connection["client_properties"] for connection in vhost.connections()])
    assert shown["connection_name"] == f"tests@{socket.gethostname()}:{os.getpid()} publishes"
    assert (shown["product"], shown["version"]) == ("entra-sms-sync", common.__version__)
    assert "pika" not in shown["information"]


def test_closing_ends_the_thread_and_fails_later_messages(amqp_url: str, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(amqp_url)
    publisher.publish(request_message())
    publisher.close()
    assert not [thread for thread in threading.enumerate() if thread is publisher._thread]
    with pytest.raises(BrokerUnavailableError):
        publisher.publish(request_message(), timeout_seconds=0.1)


def test_closing_one_that_was_never_used_does_nothing(amqp_url: str) -> None:
    Publisher(config.load({"ENTRA_SMS_AMQP_URL": amqp_url}), "tests").close()


def test_connecting_in_vain_leaves_no_open_files_behind(
    unused_port: int, make_publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.broker.publisher.RECONNECT_SECONDS", 0.001)
    publisher = make_publisher(f"amqp://guest:guest@127.0.0.1:{unused_port}/%2F")
    attempts: list[object] = []
    on_lost = publisher._on_lost
    monkeypatch.setattr(publisher, "_on_lost", lambda *given: (attempts.append(given), on_lost(*given)))

    def open_files_after(count: int) -> int:
        eventually(lambda: len(attempts) >= count)
        return len(list(Path("/proc/self/fd").iterdir()))

    publisher.is_connected()
    gc.collect()
    gc.disable()  # what is left to the garbage collector is left behind
    try:
        before = open_files_after(3)
        assert open_files_after(40) <= before + 10
    finally:
        gc.enable()


# A broker that dies


def test_a_killed_broker_raises_and_the_revived_one_gets_what_comes_then(
    mortal_broker: MortalBroker, make_publisher: MakePublisher
) -> None:
    url = mortal_broker.broker.amqp_url
    publisher = make_publisher(url)
    confirmed: list[int] = []
    failed: list[int] = []

    def publish(number: int) -> None:
        message = Outgoing("", topology.REQUESTS, "test", json.dumps(number).encode())
        try:
            publisher.publish(message)
            confirmed.append(number)
        except BrokerUnavailableError:
            failed.append(number)

    with ThreadPoolExecutor(8) as pool:
        under_way = pool.map(publish, range(100_000, 103_000))
        eventually(lambda: len(confirmed) > 100)
        mortal_broker.kill()
        list(under_way)
    assert failed

    mortal_broker.revive()
    eventually(publisher.is_connected)
    publish(7)
    assert confirmed[-1] == 7
    received = {json.loads(body) for _, _, body in eventually(lambda: messages_of(url, topology.REQUESTS))}
    assert set(confirmed) <= received
