"""What consumers are told of the address book: one event for one change. Pure functions; docs/events.md describes it.

An event says what *is*: it carries the person, group or membership as it was when it was published, which may be newer
than the change itself. Of what was removed it carries the id alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.clock import to_text

CONTACT_FIELDS = {
    "display_name": "display_name",
    "given_name": "given_name",
    "surname": "surname",
    "mail": "mail",
    "phone": "phone",
    "phone_source": "phone_source",
    "phone_state": "phone_state",
    "account_enabled": "enabled",
    "user_type": "guest",
}
"""Column of `contacts` -> field of an event. What a consumer does not need to send a message, it does not get."""
GROUP_FIELDS = {name: name for name in ("display_name", "mail", "kind")}
SNAPSHOT = "snapshot"
"""The reason of events that were asked for by a consumer that begins."""
GUEST = "guest"


@dataclass(frozen=True)
class Change:
    """A change of the feed, as it is told: whose it is, its place in the feed, why it was made."""

    kind: str
    tenant_id: str
    sequence: int
    at: datetime
    reason: str

    def told(self, **subject: Any) -> dict[str, Any]:
        """Return the event's body; `subject` is its `contact`, `group` or `membership`, and what else belongs to it."""
        return {
            "event": self.kind,
            "tenant_id": self.tenant_id,
            "sequence": self.sequence,
            "at": to_text(self.at),
            "reason": self.reason,
            **subject,
        }


def contact(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a person as consumers get to see them; `row` is of `contacts`."""
    told = {field: row[column] for column, field in CONTACT_FIELDS.items()}
    return {"object_id": row["object_id"], **told, "guest": (row["user_type"] or "").casefold() == GUEST}


def group(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group as consumers get to see it; `row` is of `groups`."""
    return {"object_id": row["object_id"], **{field: row[column] for column, field in GROUP_FIELDS.items()}}


def membership(group_id: str, member_id: str, member_type: str | None = None) -> dict[str, Any]:
    """Return a membership as consumers get to see it; one that is gone has no type any more."""
    ids = {"group_id": group_id, "member_id": member_id}
    return ids if member_type is None else ids | {"member_type": member_type}


def fields(kind: str, columns: Sequence[str]) -> list[str]:
    """Return which of an event's fields a change of `columns` has changed; none: consumers need not know of it."""
    known = CONTACT_FIELDS if kind.startswith("contact.") else GROUP_FIELDS
    return [field for column, field in known.items() if column in columns]
