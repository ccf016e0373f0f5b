"""What the feed of changes says, in people's words."""

from __future__ import annotations

from collections.abc import Collection

from common.messages import Reason
from console.explained_fields import FIELDS
from console.output import shown
from console.reads.history import Event

REASONS: dict[str, str] = {
    Reason.NOTIFICATION: "notification",
    Reason.FOLLOW_UP: "follow-up of a notification",
    Reason.POLL: "poll",
    Reason.OPERATOR: "sync asked for by an operator",
    Reason.FIRST_SYNC: "first sync",
    Reason.TOKEN_EXPIRED: "full sync, because Graph's cursor had expired",
    Reason.FINGERPRINT: "full sync, because settings or program had changed",
    Reason.CALENDAR: "regular full sync",
    Reason.MISSED: "sync after missed notifications",
    Reason.SUBSCRIPTION_GAP: "sync after a gap between subscriptions",
    Reason.RECHECK: "the object itself was read",
    Reason.CONTINUED: "sync that went on",
    Reason.HELD: "full sync to look for those who are held",
    Reason.APPROVED: "approved by an operator",
    Reason.SCOPE_CHANGED: "full sync, because the scope had changed",
    Reason.RESCOPED: "outside the scope, which an operator had changed",
    Reason.OUT_OF_SCOPE: "outside the scope since then",
}
WITH_NUMBER = {"phone_source", "phone_state"}
"""What goes without saying when the number itself has changed."""


def round_in_words(reason: str) -> str:
    """Return what kind of round it was, e.g. ``regular full sync``."""
    return REASONS.get(reason) or shown(reason).replace("_", " ")


def in_words(event: Event) -> str:
    """Return e.g. ``mobile phone and number changed (notification)``."""
    return f"{_what(event)} ({round_in_words(event.reason)})"


def _what(event: Event) -> str:
    group = shown(event.group_name) if event.group_name else f"the group {event.group_id}"
    match event.kind:
        case "contact.added" | "group.added":
            return "came into the address book"
        case "contact.removed" | "group.removed":
            return "left the address book"
        case "contact.changed" | "group.changed":
            return f"{_fields_in_words(event.fields)} changed"
        case "membership.added":
            return f"joined {group}"
        case "membership.removed":
            return f"left {group}"
    return shown(event.kind)


def _fields_in_words(fields: Collection[str]) -> str:
    implied = WITH_NUMBER if "phone" in fields else set()
    words = [word for column, word in FIELDS.items() if column in fields and column not in implied]
    words += sorted(shown(field) for field in fields if field not in FIELDS)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words) or "nothing"
