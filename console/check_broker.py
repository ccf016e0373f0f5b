"""RabbitMQ: does it let us in, is everything declared as it should be, does a worker listen? Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

import click
import pika
import requests
from pika.exceptions import ChannelClosedByBroker

from common import topology
from common.broker import connection as broker_connection
from common.broker import trouble as broker_trouble
from common.config import Settings
from common.errors import BrokerUnavailableError, SettingsError
from console import network_trouble, output, queues
from console.exits import Exit
from console.finding import Finding, fine, of_error, skipped, trouble, warning

START_IT = "Start RabbitMQ, or correct ENTRA_SMS_AMQP_URL."
DECLARE = "Start a worker or the webhook again: whoever starts declares what is missing."
MANAGEMENT_SECONDS = 10.0


@dataclass(frozen=True)
class Management:
    """RabbitMQ's management address, and whom to log in as; None: as at the broker itself."""

    url: str
    user: str | None
    password: str | None

    @classmethod
    def of(cls, address: str, password: str | None) -> Self:
        """Read an address that may name the user, as in ``http://monitor@127.0.0.1:15672``.

        Raises:
            click.UsageError: it is none, or holds a password.
        """
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.password:
            raise click.UsageError(
                "--management-url must be an address such as http://monitor@127.0.0.1:15672. No password is in it, "
                "but in a file: --management-password-file."
            )
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        return cls(plain.geturl().rstrip("/"), parts.username, password)


def look(settings: Settings, management: Management | None) -> Iterator[Finding]:
    """Yield what there is to say of RabbitMQ; who is bound to what only its management address shows."""
    try:
        parameters = broker_connection.parameters(settings, broker_connection.process_name("console"))
        connection = broker_connection.connect(parameters)
    except (BrokerUnavailableError, SettingsError) as error:
        yield of_error("rabbitmq.address", error, START_IT)
        return
    try:
        yield fine("rabbitmq.address", f"RabbitMQ at {parameters.host}:{parameters.port} lets us in.")
        yield from _declared(connection, parameters)
        yield _bindings(parameters, management)
        yield from _in_use(connection)
    except broker_trouble.ERRORS as error:
        yield of_error("rabbitmq.address", BrokerUnavailableError(broker_trouble.sentence(parameters, error)))
    finally:
        if connection.is_open:
            connection.close()


def _declared(connection: pika.BlockingConnection, parameters: pika.ConnectionParameters) -> Iterator[Finding]:
    """Yield what is missing or was declared otherwise, or one line that says that nothing is.

    What is there may be declared again: with the same arguments nothing happens, with others RabbitMQ refuses.
    """
    everything = [topology.EXCHANGE, *(queue.name for queue in topology.queues())]
    missing: list[str] = []
    troubles: list[Finding] = []
    for name in everything:
        try:
            if not _declare(connection, name, passive=True):
                missing.append(name)
            else:
                _declare(connection, name, passive=False)
        except ChannelClosedByBroker as error:
            troubles.append(trouble("rabbitmq.declared", broker_trouble.sentence(parameters, error)))
    if missing == everything:
        yield trouble("rabbitmq.declared", "Neither the exchange nor a queue is there yet.", DECLARE)
        return
    for name in missing:
        noun = "exchange" if name == topology.EXCHANGE else "queue"
        yield trouble("rabbitmq.declared", f"The {noun} {name} is missing.", DECLARE)
    yield from troubles
    if not missing and not troubles:
        count = len(everything) - 1
        yield fine("rabbitmq.declared", f"Exchange {topology.EXCHANGE} and {count} queues are as they should be.")


def _declare(connection: pika.BlockingConnection, name: str, *, passive: bool) -> bool:
    """Declare what `topology` says; passively, it is only looked for: return whether it is there."""
    channel = connection.channel()
    try:
        if name == topology.EXCHANGE:
            channel.exchange_declare(name, "topic", durable=True, passive=passive)
        else:
            arguments = next(queue.arguments for queue in topology.queues() if queue.name == name)
            channel.queue_declare(name, durable=True, arguments=arguments, passive=passive)
    except ChannelClosedByBroker as error:
        if error.reply_code == queues.NOT_FOUND:
            return False
        raise
    channel.close()
    return True


def _bindings(parameters: pika.ConnectionParameters, management: Management | None) -> Finding:
    if management is None:
        return skipped(
            "rabbitmq.bindings",
            "Bindings were not looked at: RabbitMQ shows them at its management address alone (--management-url).",
        )
    address = f"{management.url}/api/exchanges/{quote(parameters.virtual_host, safe='')}"
    same = parameters.credentials
    account = (management.user or same.username, same.password if management.password is None else management.password)
    try:
        answer = requests.get(
            f"{address}/{topology.EXCHANGE}/bindings/source", auth=account, timeout=MANAGEMENT_SECONDS
        )
        bound = {(one["destination"], one["routing_key"]) for one in answer.json()} if answer.ok else None
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        reason = network_trouble.kind(error).value
        return trouble("rabbitmq.bindings", f"{management.url} is no management address: {reason}.", code=Exit.USAGE)
    if bound is None:
        return trouble(
            "rabbitmq.bindings",
            f"The management address {management.url} answers {answer.status_code}.",
            f"The user {account[0]} needs the tag 'monitoring' there, and its password --management-password-file.",
            Exit.USAGE,
        )
    missing = [
        f"{key} -> {queue.name}" for queue in topology.queues() for key in queue.keys if (queue.name, key) not in bound
    ]
    if missing:
        return trouble("rabbitmq.bindings", f"Missing bindings of exchange sync: {', '.join(missing)}.", DECLARE)
    return fine("rabbitmq.bindings", "The exchange leads to every queue that it should.")


def _in_use(connection: pika.BlockingConnection) -> Iterator[Finding]:
    workers = queues.depth(connection, topology.REQUESTS).consumers
    if workers:
        listening = "1 worker listens" if workers == 1 else f"{workers} workers listen"
        yield fine("rabbitmq.workers", f"{listening} for requests.")
    else:
        yield trouble("rabbitmq.workers", queues.NO_WORKER)
    dead = queues.depth(connection, topology.DEAD_LETTERS).messages
    if dead:
        waiting = output.plural(dead, "message")
        yield warning("rabbitmq.dead_letters", f"{waiting} among the dead letters.", "See: entra-sms dead-letters list")
    else:
        yield fine("rabbitmq.dead_letters", "There are no dead letters.")
