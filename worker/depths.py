"""How many messages wait in each queue, seen by looking, on a connection of its own."""

from __future__ import annotations

from collections.abc import Mapping

import pika
from pika.exceptions import ChannelClosedByBroker

from common import topology
from common.broker import connection as broker_connection
from common.broker import trouble
from common.config import Settings
from common.errors import BrokerUnavailableError

NOT_FOUND = 404


class Depths:
    """Keeps its connection between two looks; for one thread.

    What a worker has taken and not settled is not among the messages that wait: RabbitMQ counts it as delivered.
    """

    def __init__(self, settings: Settings) -> None:
        self._parameters = broker_connection.parameters(settings, f"{broker_connection.process_name('worker')} looks")
        self._connection: pika.BlockingConnection | None = None

    def look(self) -> Mapping[str, int]:
        """Return the messages in each queue that there is.

        Raises:
            BrokerUnavailableError: RabbitMQ cannot be reached, or refuses.
        """
        try:
            if self._connection is None or not self._connection.is_open:
                self._connection = broker_connection.connect(self._parameters)
            return _depths(self._connection)
        except trouble.ERRORS as error:
            self.close()
            raise BrokerUnavailableError(trouble.sentence(self._parameters, error)) from None

    def close(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None and connection.is_open:
                connection.close()
        except trouble.ERRORS:
            return  # it is gone, which is what was wanted


def _depths(connection: pika.BlockingConnection) -> dict[str, int]:
    found: dict[str, int] = {}
    channel = connection.channel()
    for queue in topology.queues():
        try:
            found[queue.name] = channel.queue_declare(queue.name, passive=True).method.message_count
        except ChannelClosedByBroker as error:
            if error.reply_code != NOT_FOUND:
                raise
            channel = connection.channel()  # a queue that somebody deleted is declared anew by the consumer
    channel.close()
    return found
