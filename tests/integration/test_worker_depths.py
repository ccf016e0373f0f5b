"""How many messages wait in each queue, seen by looking."""

from collections.abc import Iterator

import pika
import pytest

from common import topology
from common.config import load
from common.errors import BrokerUnavailableError
from tests.support.broker import Vhost
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, address_of, through
from tests.support.running_worker import Queues
from worker.depths import Depths


@pytest.fixture
def queues(amqp_url: str) -> Queues:
    return Queues(amqp_url)


@pytest.fixture
def depths(amqp_url: str) -> Iterator[Depths]:
    found = Depths(load({"ENTRA_SMS_AMQP_URL": amqp_url}))
    yield found
    found.close()


def test_the_messages_of_every_queue_are_counted(queues: Queues, depths: Depths) -> None:
    for _ in range(3):
        queues.put(topology.DEAD_LETTERS, b"{}")
    eventually(lambda: depths.look()[topology.DEAD_LETTERS] == 3, what="three dead letters")
    seen = depths.look()
    assert set(seen) == {queue.name for queue in topology.queues()}
    assert sum(seen.values()) == 3


def test_a_queue_that_somebody_deleted_is_left_out_and_the_others_are_told(
    queues: Queues, depths: Depths, amqp_url: str
) -> None:
    queues.put(topology.COMMANDS, b"{}")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_delete(topology.REQUESTS)
    eventually(lambda: depths.look()[topology.COMMANDS] == 1, what="the command")
    assert set(depths.look()) == {queue.name for queue in topology.queues()} - {topology.REQUESTS}


def test_it_keeps_its_connection_and_no_channel(queues: Queues, depths: Depths, vhost: Vhost) -> None:
    for _ in range(5):
        depths.look()

    def mine() -> list[str]:
        return [one for one in (c.get("user_provided_name", "") for c in vhost.connections()) if one.endswith(" looks")]

    eventually(lambda: len(mine()) == 1, what="one connection")
    assert depths._connection is not None
    assert depths._connection.channel().channel_number == 1, "channels were left open"


def test_a_broker_that_is_away_is_an_error_and_found_again(queues: Queues, amqp_url: str) -> None:
    with FaultProxy(address_of(amqp_url)) as proxy:
        depths = Depths(load({"ENTRA_SMS_AMQP_URL": through(proxy, amqp_url)}))
        assert depths.look()[topology.REQUESTS] == 0
        with proxy.firing("cut"):
            proxy.cut()
            for _ in range(2):
                with pytest.raises(BrokerUnavailableError):
                    depths.look()
        proxy.restore()
        assert depths.look()[topology.REQUESTS] == 0
        depths.close()
