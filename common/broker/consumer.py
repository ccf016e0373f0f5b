"""Receiving: deliveries from several queues on one connection, settled from any thread.

A `Delivery` is settled once. When the connection is lost, RabbitMQ gives unsettled deliveries out again; settling a
delivery of a lost connection does nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pika
from pika.exceptions import AMQPError

from common import logging, topology
from common.backoff import delay_seconds
from common.broker import connection as broker_connection
from common.broker import trouble
from common.broker.outgoing import REPLAYS_HEADER
from common.config import Settings
from common.errors import BrokerUnavailableError

EVENTS_SECONDS = 0.5
FAREWELL_SECONDS = 0.1
LONGEST_RECONNECT_SECONDS = 10.0

log = logging.get("consumer")


class Delivery:
    """One message as received; `count` says how often it had been given out before and came back."""

    def __init__(self, queue: str, body: bytes, properties: Any, settle: Callable[[], None]) -> None:
        self.queue = queue
        self.body = body
        self.message_id = _text(properties.message_id)
        self.type = _text(properties.type)
        self.headers: Mapping[str, Any] = properties.headers or {}
        self._settle = settle

    @property
    def count(self) -> int:
        return self._number("x-delivery-count")

    @property
    def replays(self) -> int:
        """How often an operator has replayed it from the dead letters."""
        return self._number(REPLAYS_HEADER)

    def ack(self) -> None:
        """Tell the broker that this message is dealt with; thread-safe."""
        self._settle()

    def _number(self, header: str) -> int:
        value = self.headers.get(header, 0)
        return int(value) if isinstance(value, int) else 0


def _text(value: str | bytes | None) -> str:
    """Return a property; pika leaves those that are no UTF-8 as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


class Consumer:
    """Consumes `queues` on one connection until `stop`; reconnects by itself."""

    def __init__(self, settings: Settings, process: str, queues: Sequence[str], prefetch: int) -> None:
        self._process_name = broker_connection.process_name(process)
        self._parameters = broker_connection.parameters(settings, f"{self._process_name} receives")
        self._queues = tuple(queues)
        self._prefetch = prefetch
        self._stopping = threading.Event()
        self._connected = threading.Event()

    def is_connected(self) -> bool:
        return self._connected.is_set()

    def stop(self) -> None:
        """End `run` soon; unsettled deliveries go back to the broker. Safe in a signal handler."""
        self._stopping.set()

    def run(self, handle: Callable[[Delivery], None]) -> None:
        """Hand each delivery to `handle`, on this thread; `handle` must be quick and not raise."""
        attempt = 0
        said_before = None
        while not self._stopping.is_set():
            try:
                self._consume(handle)
            except (BrokerUnavailableError, AMQPError, OSError) as error:
                if self._connected.is_set():
                    attempt, said_before = 0, None
                said, pause = self._verdict_on(error, attempt)
                if said != said_before:
                    log.warning("broker_lost", error=said, retry_seconds=round(pause, 1))
                attempt, said_before = attempt + 1, said
                self._connected.clear()
                self._stopping.wait(pause)
        self._connected.clear()

    def _verdict_on(self, error: Exception, attempt: int) -> tuple[str, float]:
        """Return what is wrong in a sentence, and the seconds until the next try."""
        said = str(error) if isinstance(error, BrokerUnavailableError) else trouble.sentence(self._parameters, error)
        if trouble.is_declared_otherwise(error):
            return said, broker_connection.UNMENDED_SECONDS
        return said, delay_seconds(attempt, longest_seconds=LONGEST_RECONNECT_SECONDS)

    def _consume(self, handle: Callable[[Delivery], None]) -> None:
        connection = broker_connection.connect(self._parameters)
        try:
            channel = connection.channel()
            topology.declare(channel)
            channel.basic_qos(prefetch_count=self._prefetch)
            for queue in self._queues:
                on_message = _receiver(connection, queue, handle)
                channel.basic_consume(queue, on_message, consumer_tag=f"{self._process_name} {queue}")
            self._connected.set()
            log.info("broker_connected", queues=self._queues)
            while not self._stopping.is_set():
                connection.process_data_events(time_limit=EVENTS_SECONDS)
            connection.process_data_events(time_limit=FAREWELL_SECONDS)  # acknowledgements that came with the stop
        finally:
            if connection.is_open:
                connection.close()


def _receiver(
    connection: pika.BlockingConnection, queue: str, handle: Callable[[Delivery], None]
) -> Callable[[Any, Any, Any, bytes], None]:
    def receive(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        def settle() -> None:
            try:
                connection.add_callback_threadsafe(lambda: _ack(channel, method.delivery_tag))
            except AMQPError:
                log.debug("ack_after_loss", queue=queue)  # the broker gives it out again

        handle(Delivery(queue, body, properties, settle))

    return receive


def _ack(channel: Any, tag: int) -> None:
    if channel.is_open:
        channel.basic_ack(tag)
