"""A dead letter: what it says of itself, whoever put it there. No broker here, and no words for people.

The worker puts a message there when it cannot be read or met a defect, and says why in headers; RabbitMQ does when it
came back too often, and says so in `x-death`; and a person may have put or moved anything there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from common import messages, topology
from common.broker.outgoing import REPLAYS_HEADER
from common.commands import Command, decode_command
from common.errors import MessageUnreadableError
from common.messages import LifecycleNotice, SyncRequest

REPLAYS_LIMIT = 3
"""What failed after so many replays is replayed only by force."""

DELIVERY_LIMIT = "delivery_limit"

COUNTS = ("x-delivery-count", "x-acquired-count")
"""How often a message was given out and came back; RabbitMQ writes them anew for each queue."""


class Giver(StrEnum):
    """Who put a message among the dead letters."""

    WORKER = "worker"
    RABBITMQ = "rabbitmq"
    SOMEBODY = "somebody"


@dataclass(frozen=True)
class DeadLetter:
    """One message of the queue `sync.dead-letters`; `properties` and `headers` are as RabbitMQ delivers them.

    `origin` is the queue in which it failed, "" if nothing tells; `since` when it was put aside, if that is known.
    """

    body: bytes
    headers: Mapping[str, Any]
    properties: Any
    giver: Giver
    origin: str
    reason: str
    error: str
    since: datetime | None

    @cached_property
    def letter_id(self) -> str:
        """Return the GUID by which it is called: its message id, or else one that follows from what it is.

        Always the same for the same letter, however often it is looked at. Copies of one message have the same.
        """
        try:
            return str(UUID(self.message_id))
        except ValueError:
            facts = (self.message_id, self.type, self.origin, self.reason, self.error, str(self.since))
            content = b"\0".join([*(fact.encode(errors="replace") for fact in facts), self.body])
            return str(UUID(bytes=hashlib.sha256(content).digest()[:16]))

    @property
    def message_id(self) -> str:
        return text(self.properties.message_id)

    @property
    def type(self) -> str:
        return text(self.properties.type)

    @property
    def replays(self) -> int:
        """How often it was replayed before."""
        return _number(self.headers, REPLAYS_HEADER)

    @property
    def times_returned(self) -> int:
        """How often it was taken out of the dead letters and put back, as RabbitMQ counts."""
        return _number(self.headers, COUNTS[0])

    @cached_property
    def message(self) -> SyncRequest | LifecycleNotice | Command | None:
        """What a worker reads in it, or None when no worker ever can."""
        try:
            return self.decoded()
        except MessageUnreadableError:
            return None

    def decoded(self) -> SyncRequest | LifecycleNotice | Command:
        """Read it as the workers at its origin do.

        Raises:
            MessageUnreadableError: no worker can, or it is not from a queue that workers take from; with what is wrong.
        """
        if self.origin == topology.REQUESTS:
            return messages.decode_request(self.body)
        if self.origin == topology.LIFECYCLE:
            return messages.decode_lifecycle(self.body)
        if self.origin == topology.COMMANDS:
            return decode_command(self.body, self.message_id)
        raise MessageUnreadableError("It came from no queue that a worker takes from.")


def read(properties: Any, body: bytes) -> DeadLetter:
    """Return what lies in the queue as a dead letter; never raises, whatever it is."""
    headers: Mapping[str, Any] = properties.headers or {}
    death = _last_death(headers)
    if death is not None:
        giver, origin, reason, since = Giver.RABBITMQ, death.get("queue"), death.get("reason"), death.get("time")
        error = ""
    elif "x-origin-queue" in headers:
        giver, origin, reason = Giver.WORKER, headers["x-origin-queue"], headers.get("x-reason")
        error, since = text(headers.get("x-error")), properties.timestamp
    else:
        giver, origin, reason, error, since = Giver.SOMEBODY, "", "", "", properties.timestamp
    return DeadLetter(
        body=body,
        headers=headers,
        properties=properties,
        giver=giver,
        origin=text(origin),
        reason=text(reason),
        error=error,
        since=_moment(since),
    )


def text(value: object) -> str:
    """Return a property or header as text, whatever it is; pika leaves what is no UTF-8 as bytes."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None else str(value)


def _last_death(headers: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what RabbitMQ wrote when it gave the message up; the newest is first."""
    deaths = headers.get("x-death")
    return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else None


def _number(headers: Mapping[str, Any], name: str) -> int:
    value = headers.get(name, 0)
    return int(value) if isinstance(value, int) else 0


def _moment(value: object) -> datetime | None:
    """Return a time of a header (a datetime) or of a property (whole seconds since 1970)."""
    try:
        if isinstance(value, datetime):
            return value.astimezone(UTC)
        return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else None
    except (ValueError, OverflowError, OSError):
        return None
