"""The messages that travel between the processes: small, frozen, without personal data.

`SyncRequest` is the one door: a notification, a timer, a lifecycle event and an operator's command all become it.
Losing one loses no data (the poll comes anyway); a repeated one costs one empty round.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from common.clock import from_text, to_text
from common.errors import MessageUnreadableError

E = TypeVar("E", bound=StrEnum)

OBJECT_IDS_LIMIT = 1_000
"""More announced objects than this are not named one by one: the follow-ups then simply run another round."""
COUNTS_END = 1_000_000


class Stream(StrEnum):
    """One of the two delta streams of a tenant."""

    USERS = "users"
    GROUPS = "groups"


class Mode(StrEnum):
    """How far a stream is to be advanced: from its cursor, or from the beginning."""

    INCREMENTAL = "incremental"
    FULL = "full"


class Reason(StrEnum):
    """Who asked for the round; kept in the history of rounds and in the feed of changes."""

    NOTIFICATION = "notification"
    FOLLOW_UP = "follow_up"
    POLL = "poll"
    OPERATOR = "operator"
    FIRST_SYNC = "first_sync"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a word, not a secret
    FINGERPRINT = "fingerprint"
    CALENDAR = "calendar"
    MISSED = "missed"
    SUBSCRIPTION_GAP = "subscription_gap"
    RECHECK = "recheck"
    CONTINUED = "continued"
    HELD = "held"
    APPROVED = "approved"
    SCOPE_CHANGED = "scope_changed"
    RESCOPED = "rescoped"
    OUT_OF_SCOPE = "out_of_scope"


@dataclass(frozen=True)
class SyncRequest:
    """Advance this stream of this tenant, once, after `requested_at`.

    A full round answers what was asked for before it began. So whoever asks for one takes the time from the database;
    for other requests the time is only told to people, and any clock will do.

    `object_ids` are hints: objects the sender has heard of. `follow_up` counts how often they were asked for before.
    `attempt` counts failures of this very request.
    """

    tenant_id: str
    stream: Stream
    reason: Reason
    requested_at: datetime
    mode: Mode = Mode.INCREMENTAL
    object_ids: tuple[str, ...] = ()
    follow_up: int = 0
    attempt: int = 0

    def again(self) -> SyncRequest:
        return replace(self, attempt=self.attempt + 1)


class LifecycleEvent(StrEnum):
    """What Graph says about a subscription (Microsoft: change-notifications-lifecycle-events)."""

    REAUTHORIZATION_REQUIRED = "reauthorizationRequired"
    SUBSCRIPTION_REMOVED = "subscriptionRemoved"
    MISSED = "missed"


@dataclass(frozen=True)
class LifecycleNotice:
    """A lifecycle event of one subscription, proven to belong to `stream` by its `clientState`."""

    tenant_id: str
    stream: Stream
    event: LifecycleEvent
    subscription_id: str
    received_at: datetime


def encode(message: SyncRequest | LifecycleNotice) -> bytes:
    """Return the JSON body of `message`; times are RFC 3339, empty fields are left out."""
    fields = {name: _plain(value) for name, value in vars(message).items()}
    return json.dumps({name: value for name, value in fields.items() if value not in ([], 0)}).encode()


def decode_request(body: bytes) -> SyncRequest:
    """Read a `SyncRequest`.

    Raises:
        MessageUnreadableError: with what is wrong, without repeating the body.
    """
    fields = _object(body)
    return SyncRequest(
        tenant_id=_guid(fields, "tenant_id"),
        stream=_choice(fields, "stream", Stream),
        reason=_choice(fields, "reason", Reason),
        requested_at=_moment(fields, "requested_at"),
        mode=_choice(fields, "mode", Mode, Mode.INCREMENTAL),
        object_ids=_guids(fields, "object_ids"),
        follow_up=_count(fields, "follow_up"),
        attempt=_count(fields, "attempt"),
    )


def decode_lifecycle(body: bytes) -> LifecycleNotice:
    """Read a `LifecycleNotice`.

    Raises:
        MessageUnreadableError: with what is wrong, without repeating the body.
    """
    fields = _object(body)
    return LifecycleNotice(
        tenant_id=_guid(fields, "tenant_id"),
        stream=_choice(fields, "stream", Stream),
        event=_choice(fields, "event", LifecycleEvent),
        subscription_id=_guid(fields, "subscription_id"),
        received_at=_moment(fields, "received_at"),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_text(value)
    return list(value) if isinstance(value, tuple) else value


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise MessageUnreadableError("The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise MessageUnreadableError("The body is JSON, but not an object.")
    return fields


def _choice(fields: dict[str, Any], name: str, kind: type[E], default: E | None = None) -> E:
    value = fields.get(name, default)
    try:
        return kind(value)  # type: ignore[arg-type]  # None and wrong types are what the ValueError is for
    except ValueError:
        raise MessageUnreadableError(f'"{name}" must be one of: {", ".join(kind)}.') from None


def _guid(fields: dict[str, Any], name: str) -> str:
    try:
        return str(UUID(fields[name]))
    except (KeyError, ValueError, AttributeError, TypeError):
        raise MessageUnreadableError(f'"{name}" must be a GUID.') from None


def _guids(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    try:
        return tuple(str(UUID(text)) for text in _texts(fields, name))
    except ValueError:
        raise MessageUnreadableError(f'"{name}" must be a list of GUIDs.') from None


def _moment(fields: dict[str, Any], name: str) -> datetime:
    try:
        return from_text(fields[name])
    except (KeyError, ValueError, TypeError, OverflowError):
        raise MessageUnreadableError(f'"{name}" must be a time such as 2026-03-02T08:15:30Z.') from None


def _texts(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise MessageUnreadableError(f'"{name}" must be a list of texts.')
    return tuple(value)


def _count(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < COUNTS_END:
        raise MessageUnreadableError(f'"{name}" must be a whole number from 0.')
    return value
