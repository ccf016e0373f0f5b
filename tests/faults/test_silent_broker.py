"""A broker that keeps its connections and says nothing holds up one caller now and then, and not all of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest

from common import config, topology
from common.broker.outgoing import Outgoing
from common.broker.publisher import Publisher
from common.errors import BrokerUnavailableError
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, address_of, through

CALLERS = 8
TRIES = 80
PATIENCE_SECONDS = 0.5


@pytest.fixture
def proxy(amqp_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(address_of(amqp_url)) as proxy:
        yield proxy


@pytest.fixture
def publisher(proxy: FaultProxy, amqp_url: str) -> Iterator[Publisher]:
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": through(proxy, amqp_url)}), "tests")
    yield publisher
    publisher.close()


def message(text: str) -> Outgoing:
    return Outgoing("", topology.LIFECYCLE, "test", text.encode())


def is_published(publisher: Publisher, number: int) -> bool:
    try:
        publisher.publish(message(f"silent {number}"), timeout_seconds=PATIENCE_SECONDS)
    except BrokerUnavailableError:
        return False
    return True


def bodies(amqp_url: str) -> list[str]:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        found = []
        while (body := channel.basic_get(topology.LIFECYCLE, auto_ack=True)[2]) is not None:
            found.append(body.decode())
    return found


def test_a_silent_broker_is_sent_little_of_what_nobody_waits_for_and_everything_again_when_it_speaks(
    proxy: FaultProxy, publisher: Publisher, amqp_url: str
) -> None:
    eventually(publisher.is_connected)
    publisher.publish(message("before"))
    with proxy.firing("stall"):
        proxy.stall()
        with ThreadPoolExecutor(CALLERS) as callers:
            assert list(callers.map(lambda number: is_published(publisher, number), range(TRIES))) == [False] * TRIES
    proxy.restore()

    def published() -> bool:
        publisher.publish(message("after"))
        return True

    eventually(published, despite=(BrokerUnavailableError,))
    for number in range(20):
        publisher.publish(message(f"later {number}"))
    arrived = bodies(amqp_url)
    assert arrived[0] == "before"
    assert arrived[-20:] == [f"later {number}" for number in range(20)]
    tried = [body for body in arrived if body.startswith("silent")]
    assert 1 <= len(tried) <= 2 * CALLERS
