"""How full the queues are and who listens, by looking and without declaring anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from common import topology
from common.broker import connection as broker_connection
from common.config import Settings
from common.errors import BrokerUnavailableError

NOT_FOUND = 404


@dataclass(frozen=True)
class Depth:
    """A queue, how many messages wait in it, and how many listen; `exists` is false before the first start."""

    name: str
    messages: int
    consumers: int
    exists: bool = True


def look(settings: Settings, names: Sequence[str]) -> list[Depth]:
    """Return the depths of the queues `names`.

    Raises:
        BrokerUnavailableError: RabbitMQ cannot be reached, or refuses.
    """
    parameters = broker_connection.parameters(settings, broker_connection.process_name("console"))
    try:
        connection = pika.BlockingConnection(parameters)
        try:
            return [_depth(connection, name) for name in names]
        finally:
            if connection.is_open:
                connection.close()
    except (AMQPError, OSError) as error:
        raise BrokerUnavailableError(f"RabbitMQ cannot be reached: {type(error).__name__}.") from None


def workers(settings: Settings) -> int | None:
    """Return how many workers listen for requests, or None when RabbitMQ cannot be asked."""
    try:
        return look(settings, [topology.REQUESTS])[0].consumers
    except BrokerUnavailableError:
        return None


def _depth(connection: pika.BlockingConnection, name: str) -> Depth:
    channel = connection.channel()
    try:
        method = channel.queue_declare(name, passive=True).method
    except ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return Depth(name, 0, 0, exists=False)
    channel.close()
    return Depth(name, method.message_count, method.consumer_count)
