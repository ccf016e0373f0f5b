"""How full the queues are and who listens, by looking and without declaring anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pika
from pika.exceptions import ChannelClosedByBroker

from common import topology
from common.broker import connection as broker_connection
from common.broker import trouble
from common.config import Settings
from common.errors import BrokerUnavailableError
from console.troubles import Kind, Trouble

NOT_FOUND = 404
NO_WORKER = "No worker listens on the queue. Start one with: python -m worker"
DELAYED = tuple(topology.delayed_queue(step) for step in topology.DELAYS_SECONDS)
QUEUES = (topology.REQUESTS, topology.COMMANDS, topology.LIFECYCLE, topology.DEAD_LETTERS, *DELAYED)


@dataclass(frozen=True)
class Depth:
    """A queue, how many messages wait in it, and how many listen; `exists` is false before the first start."""

    name: str
    messages: int
    consumers: int
    exists: bool = True


@dataclass(frozen=True)
class Broker:
    """RabbitMQ as seen from here."""

    trouble: str | None
    depths: Sequence[Depth] = ()

    @property
    def workers(self) -> int:
        return max((depth.consumers for depth in self.depths if depth.name == topology.REQUESTS), default=0)

    @property
    def troubles(self) -> list[Trouble]:
        if self.trouble is not None:
            return [Trouble(Kind.BROKER, self.trouble, is_critical=True)]
        return [] if self.workers else [Trouble(Kind.WORKERS, NO_WORKER, is_critical=True)]

    def messages(self, *names: str) -> int:
        return sum(depth.messages for depth in self.depths if depth.name in names)


def view(settings: Settings, place: str) -> Broker:
    """Return RabbitMQ as seen from here, reachable or not; `place` says where it was looked for."""
    try:
        return Broker(None, look(settings, QUEUES))
    except BrokerUnavailableError as error:
        return Broker(f"{error} {place}")


def look(settings: Settings, names: Sequence[str]) -> list[Depth]:
    """Return the depths of the queues `names`.

    Raises:
        BrokerUnavailableError: RabbitMQ cannot be reached, or refuses.
    """
    parameters = broker_connection.parameters(settings, broker_connection.process_name("console"))
    connection = broker_connection.connect(parameters)
    try:
        return [depth(connection, name) for name in names]
    except trouble.ERRORS as error:
        raise BrokerUnavailableError(trouble.sentence(parameters, error)) from None
    finally:
        if connection.is_open:
            connection.close()


class Window:
    """Looks at the queues over and over through one connection, which is made anew when it is lost."""

    def __init__(self, settings: Settings, place: str) -> None:
        self._parameters = broker_connection.parameters(settings, broker_connection.process_name("console"))
        self._place = place
        self._connection: pika.BlockingConnection | None = None

    def look(self) -> Broker:
        """Return RabbitMQ as it is now, reachable or not."""
        try:
            if self._connection is None or not self._connection.is_open:
                self._connection = broker_connection.connect(self._parameters)
            return Broker(None, [depth(self._connection, name) for name in QUEUES])
        except BrokerUnavailableError as error:
            return Broker(f"{error} {self._place}")
        except trouble.ERRORS as error:
            return Broker(f"{trouble.sentence(self._parameters, error)} {self._place}")

    def close(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.close()


def workers(settings: Settings) -> int | None:
    """Return how many workers listen for requests, or None when RabbitMQ cannot be asked."""
    try:
        return look(settings, [topology.REQUESTS])[0].consumers
    except BrokerUnavailableError:
        return None


def depth(connection: pika.BlockingConnection, name: str) -> Depth:
    """Return the depth of one queue, which may be missing."""
    channel = connection.channel()
    try:
        method = channel.queue_declare(name, passive=True).method
    except ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return Depth(name, 0, 0, exists=False)
    channel.close()
    return Depth(name, method.message_count, method.consumer_count)
