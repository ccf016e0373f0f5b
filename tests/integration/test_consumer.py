"""The consumer against a real broker: settled once, from any thread; unsettled ones come again."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from queue import Queue

import pika
import pytest

from common import config, topology
from common.broker.consumer import Consumer, Delivery
from common.broker.outgoing import Outgoing
from common.broker.publisher import Publisher
from tests.support.broker import Vhost
from tests.support.eventually import eventually
from tests.support.mortal_broker import MortalBroker

PATIENCE_SECONDS = 60


class Running:
    """A consumer on a thread of its own, and what it was given."""

    def __init__(self, amqp_url: str, *queues: str, prefetch: int = 10) -> None:
        settings = config.load({"ENTRA_SMS_AMQP_URL": amqp_url})
        self.consumer = Consumer(settings, "tests", queues or (topology.REQUESTS,), prefetch)
        self.deliveries: Queue[Delivery] = Queue()
        self.thread = threading.Thread(target=self.consumer.run, args=(self.deliveries.put,))
        self.thread.start()

    def next(self) -> Delivery:
        return self.deliveries.get(timeout=PATIENCE_SECONDS)

    def stop(self) -> None:
        self.consumer.stop()
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[Running] = []

    def begin(amqp_url: str, *queues: str, prefetch: int = 10) -> Running:
        running.append(Running(amqp_url, *queues, prefetch=prefetch))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


def publish(amqp_url: str, *bodies: bytes, queue: str = topology.REQUESTS) -> None:
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": amqp_url}), "tests")
    try:
        for body in bodies:
            publisher.publish(Outgoing("", queue, "test", body, {"x-a": "b"}, message_id="m-1"))
    finally:
        publisher.close()


def count(amqp_url: str, queue: str = topology.REQUESTS) -> int:
    """Messages that nobody holds."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        return connection.channel().queue_declare(queue, passive=True).method.message_count


def test_a_delivery_says_where_it_came_from_and_what_it_is(amqp_url: str, start: Start) -> None:
    running = start(amqp_url)
    publish(amqp_url, b"body")
    delivery = running.next()
    assert (delivery.queue, delivery.body, delivery.type) == (topology.REQUESTS, b"body", "test")
    assert (delivery.message_id, delivery.headers["x-a"], delivery.count) == ("m-1", "b", 0)


def test_what_a_person_types_into_the_management_page_is_read_without_properties(amqp_url: str, start: Start) -> None:
    running = start(amqp_url, topology.COMMANDS)
    eventually(running.consumer.is_connected)
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().basic_publish(topology.EXCHANGE, "command.sync_now", b"{}")
    delivery = running.next()
    assert (delivery.message_id, delivery.type, delivery.headers.get("x-a"), delivery.count) == ("", "", None, 0)


def test_properties_that_are_no_text_are_read_as_far_as_they_are(amqp_url: str, start: Start) -> None:
    running = start(amqp_url, topology.COMMANDS)
    eventually(running.consumer.is_connected)
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        properties = pika.BasicProperties(message_id=b"a\xff", type=b"\xfeb")
        connection.channel().basic_publish(topology.EXCHANGE, "command.sync_now", b"{}", properties)
    delivery = running.next()
    assert (delivery.message_id, delivery.type) == ("a\ufffd", "\ufffdb")


def test_one_consumer_serves_several_queues(amqp_url: str, start: Start) -> None:
    running = start(amqp_url, topology.REQUESTS, topology.COMMANDS)
    publish(amqp_url, b"1")
    publish(amqp_url, b"2", queue=topology.COMMANDS)
    assert {(one.queue, one.body) for one in (running.next(), running.next())} == {
        (topology.REQUESTS, b"1"),
        (topology.COMMANDS, b"2"),
    }


def test_what_another_thread_acknowledges_is_gone_and_the_rest_comes_again(amqp_url: str, start: Start) -> None:
    first = start(amqp_url)
    publish(amqp_url, b"settled", b"unsettled")
    by_body = {delivery.body: delivery for delivery in (first.next(), first.next())}
    settling = threading.Thread(target=by_body[b"settled"].ack)
    settling.start()
    settling.join()
    first.stop()

    second = start(amqp_url)
    again = second.next()
    assert (again.body, again.count) == (b"unsettled", 1)
    again.ack()
    second.stop()
    assert count(amqp_url) == 0


def test_it_holds_no_more_than_the_prefetch(amqp_url: str, start: Start) -> None:
    publish(amqp_url, *(b"%d" % number for number in range(5)))
    running = start(amqp_url, prefetch=2)
    first, _second = running.next(), running.next()
    assert count(amqp_url) == 3
    first.ack()
    running.next()
    assert running.deliveries.empty()


def test_acknowledging_after_the_end_does_nothing(amqp_url: str, start: Start) -> None:
    running = start(amqp_url)
    publish(amqp_url, b"late")
    delivery = running.next()
    running.stop()
    delivery.ack()
    assert start(amqp_url).next().count == 1


def test_its_tag_and_connection_name_the_process(amqp_url: str, start: Start, vhost: Vhost) -> None:
    start(amqp_url)
    process = f"tests@{socket.gethostname()}:{os.getpid()}"
    [connection] = eventually(vhost.connections)
    assert connection["client_properties"]["connection_name"] == f"{process} receives"
    [consumer] = eventually(vhost.consumers)
    assert consumer["consumer_tag"] == f"{process} {topology.REQUESTS}"


def test_it_waits_for_a_broker_that_is_not_there_and_can_be_stopped(unused_port: int, start: Start) -> None:
    running = start(f"amqp://guest:guest@127.0.0.1:{unused_port}/%2F")
    assert not running.consumer.is_connected()
    running.stop()


def test_after_a_kill_of_the_broker_it_reconnects_and_unsettled_deliveries_come_again(
    mortal_broker: MortalBroker, start: Start
) -> None:
    url = mortal_broker.broker.amqp_url
    queue = topology.LIFECYCLE
    running = start(url, queue)
    publish(url, b"settled", b"unsettled", queue=queue)
    by_body = {delivery.body: delivery for delivery in (running.next(), running.next())}
    by_body[b"settled"].ack()

    mortal_broker.kill()
    eventually(lambda: not running.consumer.is_connected())
    by_body[b"unsettled"].ack()  # of a connection that is no more
    mortal_broker.revive()

    bodies = set()
    while b"unsettled" not in bodies:  # "settled" may come too: its acknowledgement may have died with the broker
        delivery = running.next()
        bodies.add(delivery.body)
        delivery.ack()
    assert running.consumer.is_connected()
