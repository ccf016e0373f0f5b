"""A book whose changes are published, and a queue that gets the events; each is checked against its schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pika
from sqlalchemy import func, select

from common import config, topology
from common.broker.publisher import Publisher
from common.db.engine import Database
from common.db.tables import UNPUBLISHED, changes
from tests.support.book import Book, book
from tests.support.event_schemas import see_valid
from tests.support.pen import Pen
from worker.feed import Feed


class Listener:
    """A queue that is bound to all events; what is taken from it is checked against its schema."""

    def __init__(self, amqp_url: str, queue: str = "listener", kind: str = "quorum") -> None:
        self._parameters = pika.URLParameters(amqp_url)
        self._queue = queue
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            topology.declare(channel)
            channel.queue_declare(queue, durable=True, arguments={"x-queue-type": kind})
            channel.queue_bind(queue, topology.EVENTS, "#")

    def take(self) -> list[dict[str, Any]]:
        """Take all that waits, in order."""
        found = []
        with pika.BlockingConnection(self._parameters) as connection:
            channel = connection.channel()
            while (message := channel.basic_get(self._queue, auto_ack=True))[0] is not None:
                method, properties, body = message
                event = json.loads(body)
                see_valid(event)
                assert method.routing_key == properties.type == event["event"]
                assert properties.headers["x-tenant"] == event["tenant_id"]
                assert properties.headers["x-sequence"] == event["sequence"]
                assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
                found.append(event | {"message_id": properties.message_id})
        return found


def told(events: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """What happened to whom."""
    found: list[tuple[str, ...]] = []
    for event in events:
        if "membership" in event:
            found.append((event["event"], event["membership"]["group_id"], event["membership"]["member_id"]))
        else:
            found.append((event["event"], event[event["event"].partition(".")[0]]["object_id"]))
    return found


@dataclass
class Scene:
    """A book, its pen, the feed of one worker, and a listener."""

    book: Book
    amqp_url: str
    publisher: Publisher
    feed: Feed
    listener: Listener

    @property
    def pen(self) -> Pen:
        return Pen(self.book, publishes=True)

    def publish(self) -> list[dict[str, Any]]:
        """Publish until nothing waits; what the listener got."""
        while self.feed.publish():
            pass
        return self.listener.take()

    def waiting(self) -> int:
        return waiting(self.book.database)


def waiting(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(changes).where(UNPUBLISHED)).scalar_one())


@contextmanager
def publisher_to(amqp_url: str) -> Iterator[Publisher]:
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": amqp_url}), "tests")
    try:
        yield publisher
    finally:
        publisher.close()


@contextmanager
def feed_scene(database_url: str, amqp_url: str) -> Iterator[Scene]:
    with book(database_url) as found, publisher_to(amqp_url) as publisher:
        feed = Feed(found.database, publisher, "one")
        yield Scene(found, amqp_url, publisher, feed, Listener(amqp_url))
