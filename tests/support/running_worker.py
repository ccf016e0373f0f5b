"""The message side of a worker in this process: consumer, inbox, dispatch, publisher; Graph is scripted."""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Self

import pika

from common import topology
from common.broker.consumer import Consumer, Delivery
from common.broker.publisher import Publisher
from common.config import Settings
from tests.support.bench import Bench
from worker.commands import Commands
from worker.dispatch import Dispatch
from worker.inbox import Inbox
from worker.lifecycle import Lifecycle
from worker.results import Results

PREFETCH = 100


@dataclass
class Message:
    """What lies in a queue."""

    body: bytes
    headers: dict[str, Any]
    message_id: str | None


class Queues:
    """Looks into the queues of a vhost and puts messages into them, as a person would."""

    def __init__(self, amqp_url: str) -> None:
        self._parameters = pika.URLParameters(amqp_url)
        with pika.BlockingConnection(self._parameters) as connection:
            topology.declare(connection.channel())

    def put(self, queue: str, body: bytes, **properties: Any) -> None:
        with pika.BlockingConnection(self._parameters) as connection:
            connection.channel().basic_publish("", queue, body, pika.BasicProperties(**properties))

    def take(self, queue: str) -> Message | None:
        """Take the first message out of a queue."""
        with pika.BlockingConnection(self._parameters) as connection:
            method, properties, body = connection.channel().basic_get(queue, auto_ack=True)
        return Message(body, properties.headers or {}, properties.message_id) if method else None

    def count(self, queue: str) -> int:
        """Messages that nobody holds; those that a consumer has and did not settle are not among them."""
        with pika.BlockingConnection(self._parameters) as connection:
            found: int = connection.channel().queue_declare(queue, passive=True).method.message_count
        return found


class RunningWorker(AbstractContextManager["RunningWorker"]):
    """Runs until the end of the `with` block; `queues` are those it takes from."""

    def __init__(self, bench: Bench, settings: Settings, queues: Sequence[str]) -> None:
        self._settings = settings
        self._queues = queues
        self._publisher = Publisher(settings, "worker")
        bench.publisher = self._publisher  # type: ignore[assignment]
        database = bench.book.database
        self.inbox = Inbox()
        self.commands = Commands(settings, database, self._publisher)
        self.dispatch = Dispatch(
            self.inbox,
            bench.advancer(),
            self._publisher,
            self.commands,
            Lifecycle(database, self._publisher),
        )
        self._results = Results(database, self._publisher)
        self._worker = threading.Thread(target=self.dispatch.work)
        self.counts: list[int] = []
        """How often each delivery had come back, since the consumer connected last."""
        self._consumer, self._consuming = self._started()

    def tell(self) -> None:
        """Tell what there is to tell, as the timers do each second."""
        self._results.tell()

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.inbox.close()
        self._stop_consuming()
        self._worker.join(60)
        self.dispatch.close()
        self._publisher.close()

    def lose_the_connection(self) -> None:
        """End the consumer's connection with all that is unsettled, and make a new one."""
        self._stop_consuming()
        self._consumer, self._consuming = self._started()

    def _receive(self, delivery: Delivery) -> None:
        self.counts.append(delivery.count)
        self.dispatch.receive(delivery)

    def _started(self) -> tuple[Consumer, threading.Thread]:
        self.counts.clear()
        consumer = Consumer(self._settings, "worker", self._queues, prefetch=PREFETCH)
        thread = threading.Thread(target=consumer.run, args=(self._receive,))
        thread.start()
        return consumer, thread

    def _stop_consuming(self) -> None:
        self._consumer.stop()
        self._consuming.join(60)
