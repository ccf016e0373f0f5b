"""What an operator may put on the queue `sync.commands`: JSON that a person can type into the management pages.

    {"command": "full_resync", "tenant": "contoso.com", "stream": "users"}

A wrong one is refused with what would have been right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any
from uuid import UUID

from common.errors import MessageUnreadableError
from common.messages import Stream

LONGEST_BYTES = 65_536
"""No command is anywhere near as long; what is longer is refused without being read."""
LONGEST_TEXT = 200
NUMBERS_END = 2**31
"""What a column of whole numbers holds in every database is below this."""


class Verb(StrEnum):
    """What may be commanded."""

    FULL_RESYNC = "full_resync"
    SYNC_NOW = "sync_now"
    RESYNC_OBJECT = "resync_object"
    RENEW_SUBSCRIPTIONS = "renew_subscriptions"
    CHECK_ACCESS = "check_access"
    PAUSE = "pause"
    RESUME = "resume"
    APPROVE_REMOVALS = "approve_removals"
    REJECT_REMOVALS = "reject_removals"
    REPLAY_DEAD_LETTERS = "replay_dead_letters"


EXAMPLES: Mapping[Verb, Mapping[str, object]] = {
    Verb.FULL_RESYNC: {"tenant": "contoso.com", "stream": "*"},
    Verb.SYNC_NOW: {"tenant": "contoso.com", "stream": "*"},
    Verb.RESYNC_OBJECT: {
        "tenant": "contoso.com",
        "object": "3f0d1a52-9a4e-4a5b-8a53-0a2f3f0c6b11",
        "stream": "users",
    },
    Verb.RENEW_SUBSCRIPTIONS: {"tenant": "*"},
    Verb.CHECK_ACCESS: {"tenant": "contoso.com"},
    Verb.PAUSE: {"tenant": "contoso.com", "reason": "the customer moves to another tenant"},
    Verb.RESUME: {"tenant": "contoso.com"},
    Verb.APPROVE_REMOVALS: {"tenant": "contoso.com", "hold": 3, "up_to": 523},
    Verb.REJECT_REMOVALS: {"tenant": "contoso.com", "hold": 3},
    Verb.REPLAY_DEAD_LETTERS: {"tenant": "*"},
}
"""Verb -> all the fields that it may have beside ``command`` and ``by``, with values that would be right."""

OPTIONAL = ("stream", "reason", "by")


@dataclass(frozen=True)
class Command:
    """An operator's command; `tenant` is an id, a domain, a name or ``*``; no stream means both.

    `command_id` is its message id, or one that was given to it. Decisions are about one `hold_id`; an approval covers
    the held removals up to the number `up_to` that was shown. `object_id` is of a person or a group. `by` is who asks,
    if the message says so.
    """

    verb: Verb
    tenant: str
    stream: Stream | None
    command_id: str
    hold_id: int | None = None
    up_to: int | None = None
    object_id: str | None = None
    reason: str | None = None
    by: str | None = None

    @property
    def asked(self) -> dict[str, object]:
        """What was asked, as it would be typed."""
        fields = {
            "command": str(self.verb),
            "tenant": self.tenant,
            "stream": str(self.stream) if self.stream is not None else None,
            "object": self.object_id,
            "hold": self.hold_id,
            "up_to": self.up_to,
            "reason": self.reason,
        }
        return {name: value for name, value in fields.items() if value is not None}


class CommandRefusedError(MessageUnreadableError):
    """It is no command that can be carried out; `right` is what would have been right, to be copied and changed."""

    def __init__(self, sentence: str, right: str) -> None:
        super().__init__(sentence)
        self.right = right


def example(verb: Verb) -> str:
    """Return a command as it is typed."""
    return json.dumps({"command": verb, **EXAMPLES[verb]}, ensure_ascii=False)


def decode_command(body: bytes, command_id: str) -> Command:
    """Read a command as a person types it.

    Raises:
        CommandRefusedError: with what is wrong, without repeating the body, and what would have been right.
    """
    fields = _object(body)
    verb = _verb(fields)
    try:
        return _command(verb, fields, command_id)
    except _WrongFieldError as wrong:
        raise CommandRefusedError(str(wrong), example(verb)) from None


class _WrongFieldError(Exception):
    """Something about a field; the verb is known."""


def _object(body: bytes) -> dict[str, Any]:
    usual = example(Verb.SYNC_NOW)
    if not body.strip():
        raise CommandRefusedError("The message is empty.", usual)
    if len(body) > LONGEST_BYTES:
        raise CommandRefusedError(
            f"The message has {len(body):,} bytes; a command has {LONGEST_BYTES:,} at most.", usual
        )
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise CommandRefusedError("The body is not JSON.", usual) from None
    if not isinstance(fields, dict):
        raise CommandRefusedError("The body is JSON, but not an object.", usual)
    return fields


def _verb(fields: Mapping[str, Any]) -> Verb:
    value = fields.get("command")
    try:
        return Verb(value)  # type: ignore[arg-type]  # None and wrong types are what the ValueError is for
    except ValueError:
        near = get_close_matches(value, list(Verb), n=1) if isinstance(value, str) else []
        there_are = f'"command" must be one of: {", ".join(Verb)}.'
        raise CommandRefusedError(there_are, example(Verb(near[0]) if near else Verb.SYNC_NOW)) from None


def _command(verb: Verb, fields: Mapping[str, Any], command_id: str) -> Command:
    allowed = EXAMPLES[verb]
    if not fields.keys() <= {*allowed, "command", "by"}:
        raise _WrongFieldError(
            f'{verb} has no other fields than "command", {", ".join(map(json.dumps, allowed))} and "by".'
        )
    tenant = _text(fields, "tenant")
    if tenant is None:
        raise _WrongFieldError('"tenant" is missing: give an id, a domain, a name, or "*" for all.')
    missing = [name for name in allowed if name not in fields and name not in OPTIONAL]
    if missing:
        raise _WrongFieldError(f'"{missing[0]}" is missing: {_HOW_TO_KNOW[missing[0]]}')
    return Command(
        verb=verb,
        tenant=tenant,
        stream=_stream(fields),
        command_id=command_id,
        hold_id=_number(fields, "hold"),
        up_to=_number(fields, "up_to"),
        object_id=_guid(fields, "object"),
        reason=_text(fields, "reason"),
        by=_text(fields, "by"),
    )


_HOW_TO_KNOW = {
    "object": "give the object id of a person or a group; `entra-sms explain` and the Entra admin center tell it.",
    "hold": "give its number; `entra-sms holds list` tells it.",
    "up_to": "give the number of the last removal that you were shown; `entra-sms holds show` tells it.",
}


def _stream(fields: Mapping[str, Any]) -> Stream | None:
    value = fields.get("stream", "*")
    if value == "*":
        return None
    try:
        return Stream(value)
    except ValueError:
        raise _WrongFieldError(f'"stream" must be one of: {", ".join(Stream)}, or "*" for both.') from None


def _number(fields: Mapping[str, Any], name: str) -> int | None:
    if name not in fields:
        return None
    value = fields[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < NUMBERS_END:
        raise _WrongFieldError(f'"{name}" must be a whole number from 1.')
    return value


def _guid(fields: Mapping[str, Any], name: str) -> str | None:
    if name not in fields:
        return None
    try:
        return str(UUID(fields[name]))
    except (ValueError, AttributeError, TypeError):
        raise _WrongFieldError(f'"{name}" must be a GUID: {_HOW_TO_KNOW[name]}') from None


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not value.isprintable():
        raise _WrongFieldError(f'"{name}" must be a text of {LONGEST_TEXT} characters at most, on one line.')
    return value.strip() or None
