"""From the JSON of a delta page to typed items: what each object is said to be, in the order it was said.

Here is decided what an item *says*; what follows from it for the rows is decided in `apply_users` and `apply_groups`.
An object with a property of an unknown shape says nothing but that it is there (`Item.malformed`), and is to be read
itself. An object without a valid id makes the whole page bad (`BadPageError`): nothing of it is stored.
Source: Microsoft Graph delta query overview; group delta (members@delta).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from common.errors import BadPageError, EntraSmsError
from common.scope import TEXTS

TEXT_LIMIT = 4_096
USER_TEXTS = {
    "displayName": "display_name",
    "givenName": "given_name",
    "surname": "surname",
    "mail": "mail",
    "userPrincipalName": "user_principal_name",
    "mobilePhone": "mobile_phone",
    "usageLocation": "usage_location",
    "userType": "user_type",
}
"""Property of a user -> column of `contacts`."""

ATTRIBUTES = tuple(name for name in TEXTS if name not in USER_TEXTS)
"""Properties of a user that nothing is kept of: they are read where a tenant's scope asks for them."""

USER_COLUMNS = (*USER_TEXTS.values(), "business_phones", "account_enabled")
GROUP_COLUMNS = ("display_name", "mail", "kind")
KIND_PROPERTIES = ("groupTypes", "mailEnabled", "securityEnabled")


_USUAL_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""An id as Graph writes it; whoever writes it otherwise means the same."""


class MalformedError(EntraSmsError):
    """An object has a property of an unknown shape; its text is the name of the property, never the value."""


@dataclass
class Item:
    """What a page says of one object after all its entries are put together.

    `values` holds the columns that were mentioned (None: said to be empty). `whole` tells that a property was there
    which every such object has, so that what is not mentioned was never set; without it the entry is a part only.
    `returned` tells that the page first said it was removed, and then that it is there. `malformed` names a property
    that cannot be read: then nothing else is known.
    """

    object_id: str
    removed: bool = False
    returned: bool = False
    whole: bool = False
    malformed: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    """Of a user: what was mentioned of those properties that are only looked at for the scope, and not kept."""
    edges: dict[str, Edge] = field(default_factory=dict)
    """Of a group: member id -> what was last said of the membership."""


class Edge(NamedTuple):
    """A membership that is (or, when removed, is no longer) there."""

    member_id: str
    member_type: str
    removed: bool


def users_of(entries: Iterable[Mapping[str, Any]]) -> list[Item]:
    """Return what a page of `users/delta` says, one item a user.

    Raises:
        BadPageError: an entry has no valid id.
    """
    return _collapsed(_read(_user, entry) for entry in entries)


def groups_of(entries: Iterable[Mapping[str, Any]]) -> list[Item]:
    """Return what a page of `groups/delta` says, one item a group; slices of one group are merged.

    Raises:
        BadPageError: an entry has no valid id.
    """
    return _collapsed(_read(_group, entry) for entry in entries)


def member_of(entry: Mapping[str, Any]) -> Edge:
    """Read one entry of `members@delta` or of a members list.

    Raises:
        MalformedError: it has no valid id.
    """
    try:
        member_id = object_id_of(entry)
    except BadPageError:
        raise MalformedError("members") from None
    return Edge(member_id, _type_of(entry), removed=entry.get("@removed") is not None)


def object_id_of(entry: Mapping[str, Any]) -> str:
    """Return the id in lower case.

    Raises:
        BadPageError: there is none, or it is no GUID.
    """
    value = entry.get("id")
    if isinstance(value, str) and _USUAL_ID.fullmatch(value):
        return value
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise BadPageError("An object of the page has no valid id.") from None


def _read(read: Callable[[Mapping[str, Any]], Item], entry: Mapping[str, Any]) -> Item:
    try:
        return read(entry)
    except MalformedError as error:
        return Item(object_id_of(entry), malformed=str(error))


def _user(entry: Mapping[str, Any]) -> Item:
    item = _item(entry)
    if item.removed:
        return item
    for name, column in USER_TEXTS.items():
        if name in entry:
            item.values[column] = _text(entry, name)
    if "businessPhones" in entry:
        item.values["business_phones"] = _texts(entry, "businessPhones")
    if "accountEnabled" in entry:
        item.values["account_enabled"] = _flag(entry, "accountEnabled")
    for name in ATTRIBUTES:
        if name in entry:
            item.attributes[name] = _text(entry, name)
    item.whole = item.values.get("user_principal_name") is not None
    return item


def _group(entry: Mapping[str, Any]) -> Item:
    item = _item(entry)
    if item.removed:
        return item
    for name, column in (("displayName", "display_name"), ("mail", "mail")):
        if name in entry:
            item.values[column] = _text(entry, name)
    if any(name in entry for name in KIND_PROPERTIES):
        item.values["kind"] = _kind(entry)
    item.whole = item.values.get("display_name") is not None
    members = entry.get("members@delta")
    if members is None:
        return item
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise MalformedError("members@delta")
    item.edges = {edge.member_id: edge for edge in map(member_of, members)}
    return item


def _type_of(entry: Mapping[str, Any]) -> str:
    kind = entry.get("@odata.type")
    return _type_called(kind) if isinstance(kind, str) else "unknown"


@lru_cache(256)
def _type_called(kind: str) -> str:
    """Return ``user`` for ``#microsoft.graph.user`` and, as other services of Microsoft write, ``...Graph.User``."""
    name = _kept(kind).rsplit(".", 1)[-1].lstrip("#")[:64]
    return name[:1].lower() + name[1:] or "unknown"


def _item(entry: Mapping[str, Any]) -> Item:
    # Any annotation is a removal, whatever its reason and shape: new reasons may come.
    return Item(object_id_of(entry), removed=entry.get("@removed") is not None)


def _collapsed(items: Iterable[Item]) -> list[Item]:
    """Put the entries of each object together: the last word wins, slices of memberships merge."""
    result: dict[str, Item] = {}
    for item in items:
        before = result.pop(item.object_id, None)  # taken out and put back: in the order of the last word
        result[item.object_id] = item if before is None or item.removed else _merged(before, item)
    return list(result.values())


def _merged(before: Item, item: Item) -> Item:
    if malformed := item.malformed or before.malformed:
        return Item(item.object_id, malformed=malformed)
    return Item(
        item.object_id,
        returned=before.removed or before.returned,
        whole=item.whole or before.whole,
        values={**before.values, **item.values},
        attributes={**before.attributes, **item.attributes},
        edges={**before.edges, **item.edges},
    )


def _kind(entry: Mapping[str, Any]) -> str:
    if "Unified" in _texts(entry, "groupTypes"):
        return "microsoft365"
    mail, security = _flag(entry, "mailEnabled"), _flag(entry, "securityEnabled")
    if mail:
        return "mail_security" if security else "distribution"
    return "security"


def _text(entry: Mapping[str, Any], name: str) -> str | None:
    value = entry[name]
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > TEXT_LIMIT:
        raise MalformedError(name)
    return _kept(value) or None


def _texts(entry: Mapping[str, Any], name: str) -> list[str]:
    value = entry.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(part, str) and len(part) <= TEXT_LIMIT for part in value):
        raise MalformedError(name)
    return [_kept(part) for part in value]


def _kept(text: str) -> str:
    return text.replace("\x00", "")  # PostgreSQL keeps no NUL in a text


def _flag(entry: Mapping[str, Any], name: str) -> bool | None:
    value = entry.get(name)
    if value is not None and not isinstance(value, bool):
        raise MalformedError(name)
    return value
