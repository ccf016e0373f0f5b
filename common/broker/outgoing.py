"""What each message looks like on the wire: where it goes, its type, its headers. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from common import messages, topology
from common.commands import Verb
from common.messages import LifecycleNotice, SyncRequest

FIRST_LINE_LIMIT = 200
PROPERTY_BYTES = 255
"""AMQP has no room for more in a message id or a type."""
REPLAYS_HEADER = "x-replays"
"""How often an operator has replayed the message from the dead letters."""
SENT_AT_HEADER = "x-sent-at"
"""When the message was published, in words: the management UI shows the property `timestamp` as a bare number."""


@dataclass(frozen=True)
class Outgoing:
    """A message ready to be published; `exchange` "" means: straight into the queue `routing_key`."""

    exchange: str
    routing_key: str
    type: str
    body: bytes
    headers: Mapping[str, str | int] = field(default_factory=dict)
    message_id: str = field(default_factory=lambda: str(uuid4()))
    correlation_id: str | None = None
    """The message id of what it answers."""
    is_mandatory: bool = True
    """Whether it is an error that no queue takes it."""


def request(message: SyncRequest, *, delay_seconds: float = 0.0) -> Outgoing:
    """Return the message that asks for a round, at once or after at least `delay_seconds`."""
    body = messages.encode(message)
    headers = {"x-tenant": message.tenant_id, "x-stream": str(message.stream), "x-reason": str(message.reason)}
    if delay_seconds > 0:
        return Outgoing("", topology.delayed_queue(delay_seconds), "sync_request", body, headers)
    return Outgoing(topology.EXCHANGE, topology.request_key(message.stream), "sync_request", body, headers)


def lifecycle(notice: LifecycleNotice) -> Outgoing:
    """Return the message that hands a lifecycle event to a worker."""
    headers = {"x-tenant": notice.tenant_id, "x-event": str(notice.event)}
    return Outgoing(
        topology.EXCHANGE, topology.lifecycle_key(notice.event), "lifecycle", messages.encode(notice), headers
    )


def command(verb: Verb, fields: Mapping[str, str | int], message_id: str) -> Outgoing:
    """Return an operator's command, the same as a person would type it into the management UI."""
    body = json.dumps({"command": verb, **fields}).encode()
    return Outgoing(topology.EXCHANGE, topology.command_key(verb), "command", body, message_id=message_id)


def result(kind: str, body: Mapping[str, Any], *, message_id: str, command_id: str | None) -> Outgoing:
    """Return what is told to operators; the headers say most of it at a glance.

    `kind` is ``command``, ``round`` or ``warning``; `command_id` is the message id of the command that is answered.
    """
    asked: Mapping[str, Any] = body.get("asked", {})
    headers = {
        "x-outcome": body.get("outcome"),
        "x-command": asked.get("command"),
        "x-tenant": body.get("tenant_id"),
        "x-stream": body.get("stream"),
    }
    return Outgoing(
        topology.EXCHANGE,
        topology.result_key(kind),
        f"{kind}_result",
        json.dumps(body, ensure_ascii=False, indent=1).encode(),
        {name: str(value) for name, value in headers.items() if value},
        message_id=message_id,
        correlation_id=_fitting(command_id) if command_id else None,
    )


def event(body: Mapping[str, Any], *, queue: str | None = None) -> Outgoing:
    """Return an event of the address book (`common.events`) for whoever is bound, or for one `queue` alone.

    The same change makes the same message id, however often it is published. That nobody is bound is no error; that
    there is no such queue is.
    """
    headers: dict[str, str | int] = {"x-tenant": body["tenant_id"]}
    if "sequence" in body:
        headers["x-sequence"] = body["sequence"]
    message = Outgoing("" if queue else topology.EVENTS, queue or body["event"], body["event"], _json(body), headers)
    if queue:
        return message
    return replace(message, message_id=f"{body['tenant_id']}/{body['sequence']}", is_mandatory=False)


def dead_letter(
    body: bytes, *, queue: str, message_type: str, reason: str, error: str, message_id: str = "", replays: int = 0
) -> Outgoing:
    """Return `body` as a dead letter: where it came from, why it was given up, the first line of the error.

    It stays the same message: with its id, if it had one, and the count of its replays.
    """
    first_line = error.splitlines()[0][:FIRST_LINE_LIMIT] if error else ""
    headers: dict[str, str | int] = {"x-origin-queue": queue, "x-reason": reason, "x-error": first_line}
    if replays:
        headers[REPLAYS_HEADER] = replays
    letter = Outgoing(topology.EXCHANGE, topology.REJECTED_KEY, _fitting(message_type), body, headers)
    return replace(letter, message_id=_fitting(message_id)) if message_id else letter


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _fitting(text: str) -> str:
    """Return a property of a stranger's message cut to what AMQP takes: what was no text may have become longer."""
    return text.encode()[:PROPERTY_BYTES].decode(errors="ignore")
