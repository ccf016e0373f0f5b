"""People: found by whatever somebody knows of them, listed by filters, and shown with their groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, false, func, or_, select

from common.db.tables import contacts
from common.phones import PhoneState, to_e164
from console.reads import scan
from console.reads.letters import contains, equals

FEWEST_DIGITS = 3
GUEST = "guest"
_NUMBER_LETTERS = frozenset("0123456789+-/.() \t\u00a0\u2013")


@dataclass(frozen=True)
class Person:
    """A person of the book: the number it gives, and what the directory holds."""

    object_id: str
    display_name: str | None
    given_name: str | None
    surname: str | None
    mail: str | None
    user_principal_name: str | None
    mobile_phone: str | None
    business_phones: tuple[str, ...]
    usage_location: str | None
    account_enabled: bool | None
    user_type: str | None
    phone: str | None
    phone_source: str | None
    phone_state: PhoneState

    @property
    def is_guest(self) -> bool:
        return is_guest(self.user_type)


@dataclass(frozen=True)
class Filter:
    """Which people are listed; None means: any."""

    tenant_id: str
    region: str | None
    search: str | None = None
    state: PhoneState | None = None
    within: Select[str] | None = None
    """The ids of the people of a group."""
    phone: str | None = None
    """Exactly this number, in any format; nobody has one that cannot be read."""
    mail: str | None = None
    """Exactly this mail address or user principal name, in any case."""


_COLUMNS = [contacts.c[name] for name in Person.__dataclass_fields__]
_ORDER = (func.lower(contacts.c.display_name), contacts.c.object_id)


def count(connection: Connection, wanted: Filter) -> int:
    query = select(func.count()).select_from(contacts).where(*_anybody(connection, wanted), *_conditions(wanted))
    number: int = connection.execute(query).scalar_one()
    return number


def page(connection: Connection, wanted: Filter, limit: int) -> list[Person]:
    """Return the first people that are wanted, ordered by name."""
    return _people(connection, [*_anybody(connection, wanted), *_conditions(wanted)], limit)


def page_by_id(connection: Connection, wanted: Filter, after: str | None, limit: int) -> list[Person]:
    """Return the first wanted people after the object id `after`, ordered by object id, which never changes."""
    conditions = _conditions(wanted)
    if (wanted.search is not None or wanted.mail is not None) and not _is_found_by_index(wanted):
        return [
            _person(row) for row in scan.first_by_id(connection, wanted.tenant_id, _COLUMNS, conditions, after, limit)
        ]
    conditions += [contacts.c.tenant_id == wanted.tenant_id]
    conditions += [contacts.c.object_id > after] if after is not None else []
    query = select(*_COLUMNS).where(*conditions).order_by(contacts.c.object_id).limit(limit)
    return [_person(row) for row in connection.execute(query).mappings()]


def get(connection: Connection, tenant_id: str, object_id: str) -> Person | None:
    mine = (contacts.c.tenant_id == tenant_id, contacts.c.object_id == object_id)
    row = connection.execute(select(*_COLUMNS).where(*mine)).mappings().one_or_none()
    return _person(row) if row is not None else None


def find(connection: Connection, tenant_id: str, wanted: str, *, region: str | None, limit: int) -> Sequence[Person]:
    """Return who is meant by an id, an address, a number in any format, a name, or a part of one of them.

    The first of these that finds anybody decides.
    """
    for conditions in _meanings(connection, tenant_id, wanted.strip(), region):
        found = _people(connection, conditions, limit)
        if found:
            return found
    return []


def is_guest(user_type: str | None) -> bool:
    return (user_type or "").lower() == GUEST


def as_guid(text: str) -> str | None:
    try:
        return str(UUID(text.strip()))
    except ValueError:
        return None


def _meanings(
    connection: Connection, tenant_id: str, wanted: str, region: str | None
) -> Iterator[list[ColumnElement[bool]]]:
    mine = contacts.c.tenant_id == tenant_id
    object_id = as_guid(wanted)
    if object_id is not None:
        yield [mine, contacts.c.object_id == object_id]
        return
    anybody = scan.everybody(connection, tenant_id)
    yield [*anybody, _is_called(wanted)]
    number = _number(wanted, region)
    if number is not None:
        yield [mine, contacts.c.phone == number]
    yield [*anybody, equals(contacts.c.display_name, wanted)]
    yield [*anybody, _search(wanted, region)]


def _anybody(connection: Connection, wanted: Filter) -> list[ColumnElement[bool]]:
    """Return the condition that somebody is of the tenant, in the words that make for the best way to the rows."""
    if _is_found_by_index(wanted):
        return [contacts.c.tenant_id == wanted.tenant_id]
    return scan.everybody(connection, wanted.tenant_id)


def _is_found_by_index(wanted: Filter) -> bool:
    return wanted.within is not None or wanted.phone is not None


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.state is not None:
        conditions.append(contacts.c.phone_state == wanted.state)
    if wanted.within is not None:
        conditions.append(contacts.c.object_id.in_(wanted.within))
    if wanted.search is not None and wanted.search.strip():
        conditions.append(_search(wanted.search.strip(), wanted.region))
    if wanted.phone is not None:
        number = _number(wanted.phone, wanted.region)
        conditions.append(contacts.c.phone == number if number is not None else false())
    if wanted.mail is not None:
        conditions.append(_is_called(wanted.mail.strip()))
    return conditions


def _is_called(address: str) -> ColumnElement[bool]:
    return or_(equals(contacts.c.mail, address), equals(contacts.c.user_principal_name, address))


def _search(text: str, region: str | None) -> ColumnElement[bool]:
    """A part of a name, of an address or of a number, the latter in any format."""
    places = [contacts.c.display_name, contacts.c.mail, contacts.c.user_principal_name, contacts.c.mobile_phone]
    found: list[ColumnElement[bool]] = [contains(place, text) for place in places]
    if set(text) <= _NUMBER_LETTERS:
        number = _number(text, region)
        digits = "".join(letter for letter in text if letter.isdigit()).lstrip("0")
        if number is not None:
            found.append(contacts.c.phone == number)
        if len(digits) >= FEWEST_DIGITS:
            found.append(contains(contacts.c.phone, digits))
    return or_(*found)


def _number(text: str, region: str | None) -> str | None:
    """Read a number as a person types it: ``00`` for ``+`` is understood without a region too."""
    digits_first = text.lstrip("( ")
    if digits_first.startswith("00"):
        text = f"+{digits_first[2:]}"
    return to_e164(text, region)


def _people(connection: Connection, conditions: Sequence[ColumnElement[bool]], limit: int) -> list[Person]:
    query = select(*_COLUMNS).where(*conditions).order_by(*_ORDER).limit(limit)
    return [_person(row) for row in connection.execute(query).mappings()]


def _person(row: RowMapping) -> Person:
    values = dict(row)
    values["business_phones"] = tuple(values["business_phones"] or ())
    values["phone_state"] = PhoneState(values["phone_state"])
    return Person(**values)
