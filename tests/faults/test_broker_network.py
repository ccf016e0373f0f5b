"""The network to RabbitMQ breaks: no confirm that was not given, nothing received is lost, nobody waits for ever."""

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import Queue

import pika
import pytest
from pika.adapters.utils.io_services_utils import StreamingConnectionMixin

from common import config, topology
from common.broker import connection as broker_connection
from common.broker.consumer import Consumer, Delivery
from common.broker.outgoing import Outgoing
from common.broker.publisher import Publisher
from common.errors import BrokerUnavailableError
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, address_of, through

PATIENCE_SECONDS = 90
Consume = Callable[[], tuple[Consumer, "Queue[Delivery]"]]


@pytest.fixture
def proxy(amqp_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(address_of(amqp_url)) as proxy:
        yield proxy


@pytest.fixture
def publisher(proxy: FaultProxy, amqp_url: str) -> Iterator[Publisher]:
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": through(proxy, amqp_url)}), "tests")
    eventually(publisher.is_connected)
    yield publisher
    publisher.close()


@pytest.fixture
def consume(proxy: FaultProxy, amqp_url: str) -> Iterator[Consume]:
    """Start a consumer and return it with what it is given."""
    with ExitStack() as stack:

        def start() -> tuple[Consumer, Queue[Delivery]]:
            consumer = Consumer(
                config.load({"ENTRA_SMS_AMQP_URL": through(proxy, amqp_url)}), "tests", [topology.REQUESTS], 10
            )
            deliveries: Queue[Delivery] = Queue()
            thread = threading.Thread(target=consumer.run, args=(deliveries.put,))
            thread.start()
            stack.callback(thread.join, PATIENCE_SECONDS)
            stack.callback(consumer.stop)
            eventually(consumer.is_connected)
            return consumer, deliveries

        yield start


@pytest.fixture
def resets(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Each connection is reset after it was made and before pika has looked at it, which else is a matter of luck."""
    look_at = StreamingConnectionMixin.create_streaming_connection
    numbers: list[int] = []

    def look_late(
        self: object, protocol_factory: object, sock: socket.socket, *rest: object, **named: object
    ) -> object:
        proxy.cut()
        poll = select.poll()
        poll.register(sock, select.POLLHUP)
        poll.poll(PATIENCE_SECONDS * 1000)
        proxy.restore()
        numbers.append(len(numbers))
        return look_at(self, protocol_factory, sock, *rest, **named)

    monkeypatch.setattr(StreamingConnectionMixin, "create_streaming_connection", look_late)
    return numbers


@pytest.fixture
def impatient_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time after which a silent connection is dead, for a test that waits for it."""
    monkeypatch.setattr(broker_connection, "HEARTBEAT_SECONDS", 2)


def message(body: bytes) -> Outgoing:
    return Outgoing("", topology.REQUESTS, "test", body)


def bodies_in(amqp_url: str) -> list[bytes]:
    """Take all messages out of the queue."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        bodies = []
        while (found := channel.basic_get(topology.REQUESTS, auto_ack=True))[0] is not None:
            bodies.append(found[2])
        return bodies


def publish_when_back(publisher: Publisher, body: bytes) -> None:
    def published() -> bool:
        publisher.publish(message(body))
        return True

    eventually(published, within_seconds=PATIENCE_SECONDS, despite=(BrokerUnavailableError,))


def test_a_publisher_and_a_consumer_go_through_the_proxy(
    proxy: FaultProxy, publisher: Publisher, consume: Consume
) -> None:
    _, deliveries = consume()
    moved = dict(proxy.bytes_moved)
    publisher.publish(message(b"x" * 10_000))
    deliveries.get(timeout=PATIENCE_SECONDS).ack()
    assert proxy.connections == 2
    assert proxy.bytes_moved["up"] > moved["up"] + 10_000
    assert proxy.bytes_moved["down"] > moved["down"] + 10_000


def test_a_publisher_that_is_cut_raises_and_comes_back_by_itself(
    proxy: FaultProxy, publisher: Publisher, amqp_url: str
) -> None:
    with proxy.firing("cut"):
        proxy.cut()
    with pytest.raises(BrokerUnavailableError):
        publisher.publish(message(b"while cut"))
    proxy.restore()
    publish_when_back(publisher, b"after")
    assert bodies_in(amqp_url) == [b"after"]


def test_a_message_that_did_not_arrive_is_not_confirmed(proxy: FaultProxy, publisher: Publisher, amqp_url: str) -> None:
    proxy.cut_before(b"never arrives")
    with proxy.firing("cut_before"), pytest.raises(BrokerUnavailableError):
        publisher.publish(message(b"never arrives"))
    assert bodies_in(amqp_url) == []


def test_a_confirm_that_is_lost_is_not_taken_for_granted(
    proxy: FaultProxy, publisher: Publisher, amqp_url: str
) -> None:
    proxy.lose_answer_to(b"arrives")
    with proxy.firing("lost_answer"), pytest.raises(BrokerUnavailableError):
        publisher.publish(message(b"arrives"))
    assert eventually(lambda: bodies_in(amqp_url)) == [b"arrives"]  # a caller that repeats it makes a second one


def test_a_publisher_whose_connection_dies_while_it_is_made_makes_another(proxy: FaultProxy, amqp_url: str) -> None:
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": through(proxy, amqp_url)}), "tests")
    with proxy.firing("cut_after"):
        proxy.cut_after(400, "up")  # in the middle of the declarations
        publish_when_back(publisher, b"at last")
    publisher.close()
    assert bodies_in(amqp_url) == [b"at last"]


@pytest.mark.usefixtures("impatient_heartbeat")
def test_a_publisher_that_is_stalled_raises_in_time_and_comes_back_on_a_new_connection(
    proxy: FaultProxy, publisher: Publisher, amqp_url: str
) -> None:
    proxy.stall()
    with proxy.firing("stall"), pytest.raises(BrokerUnavailableError, match="did not confirm within"):
        publisher.publish(message(b"stalled"))
    eventually(lambda: not publisher.is_connected(), within_seconds=PATIENCE_SECONDS, what="the heartbeat's verdict")
    proxy.restore()
    publish_when_back(publisher, b"after")
    assert b"after" in bodies_in(amqp_url)


def test_a_consumer_that_is_cut_is_given_again_what_it_did_not_settle(
    proxy: FaultProxy, publisher: Publisher, consume: Consume, amqp_url: str
) -> None:
    _, deliveries = consume()
    publisher.publish(message(b"unsettled"))
    first = deliveries.get(timeout=PATIENCE_SECONDS)
    with proxy.firing("cut"):
        proxy.cut()
    first.ack()  # over a connection that is no more
    proxy.restore()
    second = deliveries.get(timeout=PATIENCE_SECONDS)
    assert (second.body, second.count) == (b"unsettled", 1)
    second.ack()


def test_a_consumer_whose_connections_are_reset_at_once_goes_on_trying(
    proxy: FaultProxy, amqp_url: str, resets: list[int]
) -> None:
    consumer = Consumer(config.load({"ENTRA_SMS_AMQP_URL": through(proxy, amqp_url)}), "tests", [topology.REQUESTS], 10)
    thread = threading.Thread(target=consumer.run, args=(lambda _: None,))
    thread.start()
    eventually(lambda: len(resets) >= 3 or not thread.is_alive(), within_seconds=PATIENCE_SECONDS)
    assert thread.is_alive(), "the consumer has ended"
    consumer.stop()
    thread.join(PATIENCE_SECONDS)


def test_a_publisher_whose_connections_are_reset_at_once_says_so_and_logs_no_defect(
    proxy: FaultProxy, amqp_url: str, resets: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": through(proxy, amqp_url)}), "tests")
    with pytest.raises(BrokerUnavailableError, match="it closes connections at once"):
        publisher.publish(message(b"x"))
    publisher.close()
    assert resets
    assert "publisher_failed" not in "".join(capsys.readouterr())


@pytest.mark.usefixtures("impatient_heartbeat")
def test_a_consumer_that_is_stalled_notices_it_by_the_heartbeat_and_consumes_again(
    proxy: FaultProxy, publisher: Publisher, consume: Consume, amqp_url: str
) -> None:
    consumer, deliveries = consume()
    with proxy.firing("stall"):
        proxy.stall()
        eventually(lambda: not consumer.is_connected(), within_seconds=PATIENCE_SECONDS, what="the heartbeat's verdict")
    proxy.restore()
    publish_when_back(publisher, b"after")
    assert deliveries.get(timeout=PATIENCE_SECONDS).body == b"after"
