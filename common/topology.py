"""Names and arguments of everything in RabbitMQ: the one place that knows them.

Declared idempotently by whoever starts first. A queue's arguments cannot be changed afterwards (RabbitMQ answers 406),
so a new argument is a new queue name.

    exchange sync (topic)
      request.*    -> sync.requests        advance a stream
      lifecycle.*  -> sync.lifecycle       Graph speaks about a subscription
      command.*    -> sync.commands        operators; also by typing into the management UI
      dead.*       -> sync.dead-letters    what could not be done, with the reason in the headers
      result.*     -> sync.results         what came of commands and full rounds, to be read with "Get messages"
    queues sync.delayed.<n>s               wait n seconds, then return to sync.requests

    exchange addressbook (topic)           what changed in the address book; consumers bring their own queues
      contact.*, group.*, membership.*
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from common.commands import Verb
from common.messages import LifecycleEvent, Stream

EXCHANGE = "sync"
EVENTS = "addressbook"
"""The exchange of the events: the one place where messages carry people (docs/events.md)."""
REQUESTS = "sync.requests"
LIFECYCLE = "sync.lifecycle"
COMMANDS = "sync.commands"
DEAD_LETTERS = "sync.dead-letters"
RESULTS = "sync.results"
DEAD_LETTERS_LOCK = "sync.dead-letters.in-hand"
"""Whoever has this queue for itself (exclusive) may take dead letters in hand; it is there for moments only."""

DELAYS_SECONDS = (1, 5, 15, 60, 300, 900)
"""A delay is a queue of its own, since RabbitMQ expires messages only at the head of a queue."""

DELIVERY_LIMIT = 20
"""RabbitMQ's own backstop; requests are published anew long before (`worker.dispatch`)."""

LOOKS_LIMIT = 1_000_000
"""Each look at a dead letter counts as a delivery; RabbitMQ 4 would drop it after the twentieth."""

RESULTS_KEPT = 1_000
RESULTS_KEPT_DAYS = 7
"""The database keeps them longer (`entra-sms results`); the queue is a window for the management pages."""

DELAYED_KEY = "request.delayed"
DEAD_KEY = "dead.broker"
REJECTED_KEY = "dead.worker"


@dataclass(frozen=True)
class Queue:
    """A queue, its arguments and the routing keys of `EXCHANGE` that lead to it."""

    name: str
    arguments: dict[str, Any]
    keys: tuple[str, ...] = ()


class Channel(Protocol):
    """The part of a pika channel that `declare` needs."""

    def exchange_declare(self, exchange: str, exchange_type: str, *, durable: bool) -> Any: ...
    def queue_declare(self, queue: str, *, durable: bool, arguments: dict[str, Any]) -> Any: ...
    def queue_bind(self, queue: str, exchange: str, routing_key: str) -> Any: ...


def request_key(stream: Stream) -> str:
    return f"request.{stream}"


def lifecycle_key(event: LifecycleEvent) -> str:
    return f"lifecycle.{event}"


def command_key(verb: Verb) -> str:
    return f"command.{verb}"


def result_key(kind: str) -> str:
    return f"result.{kind}"


def delayed_queue(delay_seconds: float) -> str:
    """Return the queue that waits at least `delay_seconds` (at most the longest delay there is): never early."""
    for step in DELAYS_SECONDS:
        if step >= delay_seconds:
            return f"sync.delayed.{step}s"
    return f"sync.delayed.{DELAYS_SECONDS[-1]}s"


def queues() -> tuple[Queue, ...]:
    """Return all queues; every one is durable and replicated (quorum)."""
    return (
        Queue(REQUESTS, _work_arguments(), ("request.*",)),
        Queue(LIFECYCLE, _work_arguments(), ("lifecycle.*",)),
        Queue(COMMANDS, _work_arguments(), ("command.*",)),
        Queue(DEAD_LETTERS, {"x-queue-type": "quorum", "x-delivery-limit": LOOKS_LIMIT}, ("dead.*",)),
        Queue(RESULTS, _results_arguments(), ("result.*",)),
        *(Queue(delayed_queue(step), _delay_arguments(step)) for step in DELAYS_SECONDS),
    )


def declare(channel: Channel) -> None:
    """Declare all of it; harmless when it is there already."""
    channel.exchange_declare(EXCHANGE, "topic", durable=True)
    channel.exchange_declare(EVENTS, "topic", durable=True)
    for queue in queues():
        channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
        for key in queue.keys:
            channel.queue_bind(queue.name, EXCHANGE, key)


def _work_arguments() -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": EXCHANGE,
        "x-dead-letter-routing-key": DEAD_KEY,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # at-least-once dead-lettering works with no other overflow
    }


def _delay_arguments(step_seconds: int) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": step_seconds * 1000,
        "x-dead-letter-exchange": EXCHANGE,
        "x-dead-letter-routing-key": DELAYED_KEY,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _results_arguments() -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-max-length": RESULTS_KEPT,
        "x-overflow": "drop-head",
        "x-message-ttl": RESULTS_KEPT_DAYS * 86_400 * 1000,
        "x-delivery-limit": LOOKS_LIMIT,
    }
