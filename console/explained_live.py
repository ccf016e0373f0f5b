"""What Graph itself says of a person at this moment, beside what the book has. Nothing is written.

The console reads the answer as the worker would (`worker.mapping`); a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.db.tenants import TenantState
from common.errors import BadPageError
from common.graph.answers import GraphNotFoundError
from common.graph.client import GraphClient
from common.graph.resources import SELECT
from common.messages import Stream
from common.phones import read_phone
from console import times
from console.choice import typed
from console.explained import Explained
from console.explained_fields import FIELDS
from console.explained_number import HEAL
from console.reads.people import as_guid

COLUMNS = {name: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in SELECT[Stream.USERS]}
"""Property of a user -> column of `contacts`."""
LONGEST_TEXT = 4_096
COMPUTED = frozenset({"phone", "phone_source", "phone_state"})
"""What is made of the other fields, and not said by the directory."""
NOT_ASKED = (
    "Groups are not compared: to ask Graph for the groups of a person, Directory.Read.All would be needed, which this "
    "program does not ask for."
)


@dataclass(frozen=True)
class Comparison:
    """One field: what Graph says, and what the book has; `book` is None too when nobody is in the book."""

    column: str
    graph: Any
    book: Any
    is_same: bool


@dataclass(frozen=True)
class Live:
    """Graph's answer. Without `comparisons` it knows nobody with the id, or `malformed` names what cannot be read."""

    is_known: bool
    malformed: str | None
    comparisons: Sequence[Comparison]
    what_next: str
    """In sentences."""

    @property
    def differing(self) -> list[str]:
        return [one.column for one in self.comparisons if not one.is_same]


def ask(client: GraphClient, explained: Explained) -> Live:
    """Ask Graph for the person and compare.

    Raises:
        AccessError: the tenant's credentials or permissions do not work.
        RetryLaterError: Graph or the login service cannot be asked now.
    """
    try:
        answer = client.get(Stream.USERS, explained.object_id)
    except GraphNotFoundError:
        return Live(False, None, [], _what_next(explained, is_known=False, differing=[]))
    if as_guid(str(answer.get("id"))) != explained.object_id:
        raise BadPageError("Graph answered with another object than the one that was asked for.")
    try:
        values = values_of(answer)
    except ValueError as error:
        what_next = "The worker leaves the book as it is, until Graph describes the person in a shape that it knows."
        return Live(True, str(error), [], what_next)
    said = {name: answer.get(name) for name in explained.tenant.scope.properties}
    if explained.tenant.scope.admits(said, is_reached=explained.traces.is_reached) is False:
        return Live(True, None, _compared(values, explained), _outside(explained))
    comparisons = _compared(values, explained)
    differing = [one.column for one in comparisons if not one.is_same]
    return Live(True, None, comparisons, _what_next(explained, is_known=True, differing=differing))


def values_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return column -> value of a user as Graph describes it.

    Raises:
        ValueError: a property is of an unknown shape; the text is its name, never the value.
    """
    return {column: _value(name, answer.get(name)) for name, column in COLUMNS.items()}


def _compared(values: Mapping[str, Any], explained: Explained) -> list[Comparison]:
    region = values["usage_location"] or explained.tenant.default_region
    phone = read_phone(values["mobile_phone"], values["business_phones"], region=region)
    said = {**values, "phone": phone.number, "phone_source": phone.source, "phone_state": phone.state}
    held = explained.person
    found = []
    for column in FIELDS:
        kept = getattr(held, column) if held is not None else None
        found.append(Comparison(column, said[column], kept, held is not None and said[column] == kept))
    return found


def _what_next(explained: Explained, *, is_known: bool, differing: Sequence[str]) -> str:
    """Return what happens next."""
    is_in_book, held = explained.person is not None, explained.traces.held
    if is_known == is_in_book and not differing and held is None:
        return "Graph and the address book agree."
    if explained.tenant.state is TenantState.ACCESS_FAILED:
        return (
            "The worker reads the tenant only now and then, since its access had failed. It works now, and "
            "entra-sms tenants check tells the worker so."
        )
    if held is not None:
        shown = f"Graph shows the person, so the removal will not be held any more. {_next_round(explained)}"
        return shown if is_known else "The removal waits until somebody decides, as said above."
    if is_known and is_in_book and COMPUTED.issuperset(differing):
        return f"Only the number is read differently than when it was stored; {HEAL}"
    return f"A difference is normal for some seconds. {_next_round(explained)}"


def _outside(explained: Explained) -> str:
    """Return what happens next to somebody whom the tenant's scope does not admit."""
    scope = (
        f"The person is outside the scope of the tenant: entra-sms tenants scope {typed(explained.tenant)} shows it."
    )
    if explained.person is None:
        return f"{scope} So the address book has nothing of the person."
    return f"{scope} {_next_round(explained)}"


def _next_round(explained: Explained) -> str:
    users, due_at, now = explained.advances.get(Stream.USERS), explained.traces.next_poll_at, explained.now
    still = "If it still differs then: entra-sms sync --full"
    if users is not None and users.lease_until is not None and users.lease_until > now:
        return f"The people are being read at this moment. {still}"
    if due_at is None or due_at <= now:
        since = f" for {times.span((now - due_at).total_seconds())}" if due_at is not None else ""
        return f"The next round has been due{since}; does a worker run? entra-sms status tells."
    at = f"{times.moment(due_at)}, {times.until(due_at, now)}"
    return f"The next round is due at {at}, or sooner, when Graph notifies of a change. {still}"


def _value(name: str, value: Any) -> Any:
    if name == "businessPhones":
        if not isinstance(value, list | None):
            raise ValueError(name)
        return tuple(_text(name, text) for text in value or [])
    if name == "accountEnabled":
        if not isinstance(value, bool | None):
            raise ValueError(name)
        return value
    return _text(name, value) or None if value is not None else None


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError(name)
    return value.replace("\x00", "")  # no NUL is in the book
