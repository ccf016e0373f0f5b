"""Is the address book equal to the directory? Person by person, group by group, edge by edge, recipient by recipient.

Shares nothing with the product: the truth is the simulator's own list, the book is read by plain SQL, and the rules for
the number and for recipients are written down here once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import phonenumbers
from sqlalchemy import Connection, create_engine, text

from common.db.engine import Database
from common.db.tenants import USUAL_RECIPIENT_RULE
from console.reads.recipients import Recipient, Selection, judged

Person = tuple[Any, ...]
DEFAULT_REGION = "PL"

_BOOK_PEOPLE = text(
    "SELECT object_id, display_name, given_name, surname, mail, user_principal_name, account_enabled, user_type, "
    "phone, phone_source, phone_state FROM contacts WHERE tenant_id = :tenant"
)
_BOOK_GROUPS = text("SELECT object_id, display_name, mail FROM groups WHERE tenant_id = :tenant")
_BOOK_EDGES = text(
    "SELECT m.group_id, m.member_id FROM memberships m WHERE m.tenant_id = :tenant "
    "AND (m.member_type <> 'user' OR m.member_id IN (SELECT object_id FROM contacts WHERE tenant_id = :tenant)) "
    "AND (m.member_type <> 'group' OR m.member_id IN (SELECT object_id FROM groups WHERE tenant_id = :tenant))"
)


@dataclass(frozen=True)
class Book:
    """One side of the comparison."""

    people: Mapping[str, Person]
    groups: Mapping[str, tuple[Any, ...]]
    edges: frozenset[tuple[str, str]]


def book_of_directory(directory: Mapping[str, Any]) -> Book:
    """Return what the book should be, from the simulator's list of everything that is live."""
    return Book(
        people={user["id"]: _expected_person(user) for user in directory["users"]},
        groups={
            group["id"]: (group.get("displayName") or None, group.get("mail") or None) for group in directory["groups"]
        },
        edges=frozenset((group["id"], member["id"]) for group in directory["groups"] for member in group["members"]),
    )


def book_of_database(database_url: str, tenant_id: str) -> Book:
    """Return what the book is."""
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            people = _rows(connection, _BOOK_PEOPLE, tenant_id)
            groups = _rows(connection, _BOOK_GROUPS, tenant_id)
            edges = _rows(connection, _BOOK_EDGES, tenant_id)
    finally:
        engine.dispose()
    return Book(
        people={str(row[0]): (*row[1:6], _flag(row[6]), *row[7:]) for row in people},
        groups={str(row[0]): tuple(row[1:]) for row in groups},
        edges=frozenset((str(row[0]), str(row[1])) for row in edges),
    )


def differences(expected: Book, actual: Book) -> list[str]:
    """Return a line for each difference, by ids and fields alone; empty when the books are equal."""
    return [
        *_of_mappings("contact", expected.people, actual.people),
        *_of_mappings("group", expected.groups, actual.groups),
        *(f"membership of {member} in {group} is missing" for group, member in sorted(expected.edges - actual.edges)),
        *(f"membership of {member} in {group} is too much" for group, member in sorted(actual.edges - expected.edges)),
    ]


def differences_of_recipients(expected: Book, database_url: str, tenant_id: str) -> list[str]:
    """Return a line for each group of which the product finds other recipients than follow from `expected`."""
    database = Database.from_url(database_url)
    try:
        with database.read() as connection:
            actual = {
                group_id: {
                    one.object_id: one.phone
                    for one in judged(connection, Selection(tenant_id, USUAL_RECIPIENT_RULE, (group_id,)))
                    if isinstance(one, Recipient)
                }
                for group_id in expected.groups
            }
    finally:
        database.close()
    return [
        f"recipients of group {group_id} differ: {len(actual[group_id])} instead of {len(recipients)}"
        for group_id, recipients in recipients_by_group(expected).items()
        if actual[group_id] != recipients
    ]


def recipients_by_group(book: Book) -> dict[str, dict[str, str]]:
    """Return of each group the ids of who gets a message to it and the number: enabled, and each number once."""
    members: dict[str, list[str]] = {group_id: [] for group_id in book.groups}
    for group_id, member_id in book.edges:
        members[group_id].append(member_id)
    return {group_id: _recipients(book, _everybody_in(group_id, members)) for group_id in book.groups}


def _everybody_in(group_id: str, members: Mapping[str, Sequence[str]]) -> set[str]:
    seen, waiting = {group_id}, [group_id]
    while waiting:
        new = set(members.get(waiting.pop(), ())) - seen
        seen |= new
        waiting += new
    return seen


def _recipients(book: Book, everybody: set[str]) -> dict[str, str]:
    by_number: dict[str, tuple[bool, str]] = {}
    for object_id in everybody & book.people.keys():
        *_, enabled, _, phone, source, _ = book.people[object_id]
        if phone is not None and enabled is not False:
            claim = (source != "mobile", object_id)
            by_number[phone] = min(claim, by_number.get(phone, claim))
    return {object_id: phone for phone, (_, object_id) in by_number.items()}


def _of_mappings(what: str, expected: Mapping[str, Person], actual: Mapping[str, Person]) -> list[str]:
    return [
        *(f"{what} {key} is missing" for key in sorted(expected.keys() - actual.keys())),
        *(f"{what} {key} is too much" for key in sorted(actual.keys() - expected.keys())),
        *(
            f"{what} {key} differs in column {_first_difference(expected[key], actual[key])}"
            for key in sorted(expected.keys() & actual.keys())
            if expected[key] != actual[key]
        ),
    ]


def _first_difference(expected: Person, actual: Person) -> int:
    """Return the position, from 1, of the first column that differs: a place to look, without the values."""
    return next(n for n, (one, other) in enumerate(zip(expected, actual, strict=True), 1) if one != other)


def _rows(connection: Connection, query: Any, tenant_id: str) -> list[Any]:
    return list(connection.execute(query, {"tenant": tenant_id}))


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _expected_person(user: Mapping[str, Any]) -> Person:
    names = ("displayName", "givenName", "surname", "mail", "userPrincipalName")
    texts = tuple(user.get(name) or None for name in names)
    return (*texts, user.get("accountEnabled"), user.get("userType") or None, *_expected_phone(user))


def _expected_phone(user: Mapping[str, Any]) -> tuple[str | None, str | None, str]:
    region = user.get("usageLocation") or DEFAULT_REGION
    mobile, business = user.get("mobilePhone") or "", user.get("businessPhones") or []
    readers: list[tuple[str, str]] = [("mobile", mobile), *(("business", number) for number in business)]
    for source, written in readers:
        number = _e164(written, region)
        if number:
            return number, source, "ok"
    return None, None, "invalid" if any(written.strip() for _, written in readers) else "missing"


def _e164(written: str, region: str) -> str | None:
    parse: Callable[..., Any] = phonenumbers.parse
    try:
        number = parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    valid = phonenumbers.is_valid_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if valid else None
