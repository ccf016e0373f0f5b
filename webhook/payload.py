"""Reads what Graph posts, strictly: bytes in, typed items out.

Whatever the bytes are, nothing but `PayloadError` (the whole body) or `ItemRefusedError` (one item) is raised, and
neither repeats any of the content. orjson refuses invalid UTF-8, NaN and deep nesting by itself; it reads a number
beyond 64 bits as a float, which does no harm, since no number of a notification is used.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from common.messages import LifecycleEvent, Stream

ITEMS_LIMIT = 10_000
"""More than a body of the allowed size holds of items that could be proven: what has more is not Graph's."""

_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_STREAMS = {str(stream): stream for stream in Stream}


class Refusal(StrEnum):
    """Why an item is dropped; the label of the metric."""

    BAD_ITEM = "bad_item"
    UNKNOWN_RESOURCE = "unknown_resource"
    UNKNOWN_LIFECYCLE_EVENT = "unknown_lifecycle_event"
    WRONG_CLIENT_STATE = "wrong_client_state"


class PayloadError(Exception):
    """The body is no collection of notifications."""


class ItemRefusedError(Exception):
    """One item cannot be used; the others can."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Change(NamedTuple):
    """Something happened to an object of a stream. What happened is not read: delta tells."""

    tenant_id: str
    stream: Stream
    object_id: str
    client_state: str


class Lifecycle(NamedTuple):
    """Something happened to a subscription."""

    tenant_id: str
    event: LifecycleEvent
    subscription_id: str
    client_state: str


def read_collection(body: bytes) -> list[Any]:
    """Return the items of the body, unread.

    Raises:
        PayloadError: it is not JSON, not an object, has no list `value`, or more than `ITEMS_LIMIT` items.
    """
    try:
        collection = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise PayloadError("not JSON") from None
    if not isinstance(collection, dict):
        raise PayloadError("not an object")
    items = collection.get("value")
    if not isinstance(items, list):
        raise PayloadError("no list of items")
    if len(items) > ITEMS_LIMIT:
        raise PayloadError("too many items")
    return items


def read_item(item: Any) -> Change | Lifecycle:
    """Read one item; `lifecycleEvent` decides which kind it is, whatever address it was sent to.

    Raises:
        ItemRefusedError: it cannot be used.
    """
    if not isinstance(item, dict):
        raise ItemRefusedError(Refusal.BAD_ITEM)
    if item.get("lifecycleEvent") is not None:
        return _lifecycle(item)
    return _change(item)


def _change(item: dict[str, Any]) -> Change:
    tenant_id = _guid(item.get("tenantId"))
    stream, named_id = _resource(item.get("resource"))
    data = item.get("resourceData")
    object_id = data.get("id") if isinstance(data, dict) else None
    return Change(
        tenant_id=tenant_id,
        stream=stream,
        object_id=_guid(named_id if object_id is None else object_id),
        client_state=_client_state(item),
    )


def _lifecycle(item: dict[str, Any]) -> Lifecycle:
    return Lifecycle(
        tenant_id=_guid(item.get("tenantId")),
        event=_event(item.get("lifecycleEvent")),
        subscription_id=_guid(item.get("subscriptionId")),
        client_state=_client_state(item),
    )


def _resource(resource: Any) -> tuple[Stream, str]:
    """Split ``Users/{id}``; Graph capitalises it, its documentation does not."""
    if not isinstance(resource, str):
        raise ItemRefusedError(Refusal.BAD_ITEM)
    kind, _, rest = resource.removeprefix("/").partition("/")
    stream = _STREAMS.get(kind.lower())
    if stream is None:
        raise ItemRefusedError(Refusal.UNKNOWN_RESOURCE)
    return stream, rest.partition("/")[0]


def _event(event: Any) -> LifecycleEvent:
    try:
        return LifecycleEvent(event)
    except ValueError:
        raise ItemRefusedError(Refusal.UNKNOWN_LIFECYCLE_EVENT) from None


def _guid(text: Any) -> str:
    guid = text.lower() if isinstance(text, str) else ""
    if not _GUID.fullmatch(guid):
        raise ItemRefusedError(Refusal.BAD_ITEM)
    return guid


def _client_state(item: dict[str, Any]) -> str:
    state = item.get("clientState")
    return state if isinstance(state, str) else ""
