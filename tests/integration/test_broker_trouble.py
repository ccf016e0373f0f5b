"""What is wrong with the broker is said once, in a sentence with the address and without credentials."""

import threading
from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
import structlog
from structlog.testing import LogCapture

from common import config, topology
from common.broker import connection as broker_connection
from common.broker.consumer import Consumer, Delivery
from common.broker.outgoing import Outgoing
from common.broker.publisher import Publisher
from common.errors import BrokerUnavailableError
from console import queues
from tests.support.eventually import eventually

PASSWORD = "a-password-that-nobody-may-see"
Lines = list[Any]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The lines that consumer and publisher log."""
    capture = LogCapture()
    logger = structlog.wrap_logger(structlog.ReturnLogger(), processors=[capture])
    monkeypatch.setattr("common.broker.consumer.log", logger)
    monkeypatch.setattr("common.broker.publisher.log", logger)
    return capture.entries


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for."""
    monkeypatch.setattr(broker_connection, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(broker_connection, "UNMENDED_SECONDS", 0.2)
    monkeypatch.setattr("common.broker.consumer.LONGEST_RECONNECT_SECONDS", 0.2)
    monkeypatch.setattr("common.broker.publisher.RECONNECT_SECONDS", 0.2)


@pytest.fixture
def consume(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], "Queue[Delivery]"]]:
    """Start a consumer and return what it receives; `attempts` counts its connections."""
    running: list[tuple[Consumer, threading.Thread]] = []

    def start(amqp_url: str) -> "Queue[Delivery]":
        deliveries: Queue[Delivery] = Queue()
        consumer = Consumer(config.load({"ENTRA_SMS_AMQP_URL": amqp_url}), "tests", [topology.REQUESTS], 10)
        running.append((consumer, threading.Thread(target=consumer.run, args=(deliveries.put,))))
        running[-1][1].start()
        return deliveries

    yield start
    for consumer, thread in running:
        assert thread.is_alive(), "the consumer ended by itself"
        consumer.stop()
        thread.join(30)


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each connection that a consumer or the console tries to make."""
    tried: list[str] = []
    connect = pika.BlockingConnection

    def counted(parameters: pika.URLParameters) -> pika.BlockingConnection:
        tried.append(parameters.host)
        return connect(parameters)

    monkeypatch.setattr("common.broker.connection.pika.BlockingConnection", counted)
    return tried


def broken(kind: str, amqp_url: str, unused_port: int, silent_port: int) -> tuple[str, str]:
    """An address that cannot work, and what is to be said of it."""
    parts = urlsplit(amqp_url)
    place = f"{parts.hostname}:{parts.port}"
    match kind:
        case "port":
            return (
                f"amqp://user:{PASSWORD}@127.0.0.1:{unused_port}/%2F",
                f"127.0.0.1:{unused_port}: Connection refused.",
            )
        case "silence":
            return (
                f"amqp://user:{PASSWORD}@127.0.0.1:{silent_port}/%2F",
                f"127.0.0.1:{silent_port}: it does not answer.",
            )
        case "password":
            wrong = parts._replace(netloc=f"{parts.username}:{PASSWORD}@{place}").geturl()
            return wrong, f"{place}: it refuses the user or the password."
        case "vhost":
            return parts._replace(
                path="/nowhere"
            ).geturl(), f"{place}: it has no such vhost, or does not let the user in."
    raise AssertionError(kind)


KINDS = ["port", "silence", "password", "vhost"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", KINDS)
def test_a_consumer_says_once_why_it_cannot_connect_and_goes_on_trying(
    kind: str, amqp_url: str, unused_port: int, silent_port: int, consume: Any, said: Lines, attempts: list[str]
) -> None:
    url, words = broken(kind, amqp_url, unused_port, silent_port)
    consume(url)
    eventually(lambda: len(attempts) >= 3)
    [line] = said
    assert (line["event"], line["error"]) == ("broker_lost", f"RabbitMQ cannot be reached at {words}")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", KINDS)
def test_a_publisher_says_why_it_cannot_connect(
    kind: str, amqp_url: str, unused_port: int, silent_port: int, said: Lines
) -> None:
    url, words = broken(kind, amqp_url, unused_port, silent_port)
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": url}), "tests")
    try:
        assert not publisher.is_connected()
        eventually(lambda: said)
        with pytest.raises(BrokerUnavailableError) as caught:
            publisher.publish(Outgoing("", topology.REQUESTS, "test", b"{}"), timeout_seconds=0.1)
    finally:
        publisher.close()
    assert str(caught.value) == f"RabbitMQ cannot be reached at {words}"
    assert [line["error"] for line in said] == [str(caught.value)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("impatient")
def test_the_console_says_why_it_cannot_connect(kind: str, amqp_url: str, unused_port: int, silent_port: int) -> None:
    url, words = broken(kind, amqp_url, unused_port, silent_port)
    with pytest.raises(BrokerUnavailableError) as caught:
        queues.look(config.load({"ENTRA_SMS_AMQP_URL": url}), [topology.REQUESTS])
    assert str(caught.value) == f"RabbitMQ cannot be reached at {words}"


@pytest.mark.usefixtures("impatient")
def test_a_queue_with_other_arguments_is_named_once_with_what_to_do_and_all_goes_on_when_it_is_gone(
    amqp_url: str, consume: Any, said: Lines, attempts: list[str]
) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(topology.REQUESTS, durable=True, arguments={"x-queue-type": "classic"})
    before = len(attempts)
    deliveries = consume(amqp_url)
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": amqp_url}), "tests")
    try:
        assert not publisher.is_connected()
        eventually(lambda: len(attempts) >= before + 3)
        lines = eventually(lambda: said if len(said) == 2 else None)
        assert {line["event"] for line in lines} == {"broker_lost", "broker_channel_closed"}
        for line in lines:
            assert "queue 'sync.requests'" in line["error"]
            assert "Delete it" in line["error"]
        with pytest.raises(BrokerUnavailableError, match=r"queue 'sync\.requests'"):
            publisher.publish(Outgoing("", topology.REQUESTS, "test", b"{}"), timeout_seconds=0.1)

        with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
            connection.channel().queue_delete(topology.REQUESTS)
        eventually(publisher.is_connected)
        publisher.publish(Outgoing("", topology.REQUESTS, "test", b"after"), timeout_seconds=30)
        delivery = deliveries.get(timeout=30)
    finally:
        publisher.close()
    assert delivery.body == b"after"
    delivery.ack()


def test_unblocking_connects_nobody_who_has_no_channel(amqp_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.broker.publisher.RECONNECT_SECONDS", 3600.0)
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": amqp_url}), "tests")
    try:
        eventually(publisher.is_connected)
        connection = publisher._connection
        assert connection is not None
        channel = publisher._channel
        seen: list[bool] = []

        def lose_the_channel() -> None:
            publisher._on_blocked(connection, None)
            publisher._on_channel_closed(channel, pika.exceptions.ChannelClosedByBroker(404, "NOT_FOUND - of the test"))
            publisher._on_unblocked(connection, None)
            seen.append(publisher._connected.is_set())

        connection.ioloop.add_callback_threadsafe(lose_the_channel)
        assert eventually(lambda: list(seen)) == [False]
    finally:
        publisher.close()
