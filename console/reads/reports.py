"""People whose number needs a look: missing, invalid, shared with somebody, or not a mobile one; row by row.

All people count, whether or not they are recipients: disabled accounts and guests are marked. Whether a number is a
mobile one is worked out while reading, 45 s a million.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from common.db.tables import contacts
from common.phones import NumberKind, PhoneState, kind_of
from console.reads.export import streaming
from console.reads.people import is_guest


class Report(StrEnum):
    """What may be wrong with somebody's number."""

    MISSING = "missing"
    INVALID = "invalid"
    SHARED = "shared"
    NOT_MOBILE = "not-mobile"


@dataclass(frozen=True)
class Scope:
    """Whom reports are about: the people of a tenant, or those of them whose ids are `within`."""

    tenant_id: str
    default_region: str | None
    within: Select[str] | None = None


@dataclass(frozen=True)
class Reported:
    """Somebody in a report. The fields are the columns of an export, in this order, in what derives from it too."""

    object_id: str
    display_name: str | None
    mail: str | None
    user_principal_name: str | None
    enabled: bool | None
    guest: bool


@dataclass(frozen=True)
class InvalidNumber(Reported):
    """Somebody with what stands where a number should, and the region it was read in, ISO 3166-1 alpha-2."""

    mobile_phone: str | None
    business_phones: list[str]
    region: str | None


@dataclass(frozen=True)
class SharedNumber(Reported):
    """Somebody with a number (E.164) that `people` have, himself included."""

    phone: str
    phone_source: str
    people: int


@dataclass(frozen=True)
class NotMobile(Reported):
    """Somebody with a number (E.164) that is no mobile one, but of `kind`."""

    phone: str
    phone_source: str
    kind: NumberKind


KINDS: dict[Report, type[Reported]] = {
    Report.MISSING: Reported,
    Report.INVALID: InvalidNumber,
    Report.SHARED: SharedNumber,
    Report.NOT_MOBILE: NotMobile,
}
"""Of what each report is made."""

_PERSON = contacts.c
_WHO = (
    _PERSON.object_id,
    _PERSON.display_name,
    _PERSON.mail,
    _PERSON.user_principal_name,
    _PERSON.account_enabled,
    _PERSON.user_type,
)
_BY_NAME = (func.lower(_PERSON.display_name).nulls_last(), _PERSON.object_id)


def rows(connection: Connection, report: Report, scope: Scope) -> Iterator[Reported]:
    """Yield who is in a report: by name; of shared numbers those that most people have first, by number, then name."""
    match report:
        case Report.MISSING:
            return _missing(connection, scope)
        case Report.INVALID:
            return _invalid(connection, scope)
        case Report.SHARED:
            return _shared(connection, scope)
        case Report.NOT_MOBILE:
            return _not_mobile(connection, scope)


def _missing(connection: Connection, scope: Scope) -> Iterator[Reported]:
    query = select(*_WHO).where(*_are_in(scope), _PERSON.phone_state == PhoneState.MISSING)
    for row in streaming(connection).execute(query.order_by(*_BY_NAME)):
        yield Reported(**_who(row))


def _invalid(connection: Connection, scope: Scope) -> Iterator[InvalidNumber]:
    query = select(*_WHO, _PERSON.mobile_phone, _PERSON.business_phones, _PERSON.usage_location).where(
        *_are_in(scope), _PERSON.phone_state == PhoneState.INVALID
    )
    for row in streaming(connection).execute(query.order_by(*_BY_NAME)):
        region = row.usage_location or scope.default_region
        yield InvalidNumber(
            **_who(row), mobile_phone=row.mobile_phone, business_phones=row.business_phones, region=region
        )


def _shared(connection: Connection, scope: Scope) -> Iterator[SharedNumber]:
    people = func.count().over(partition_by=_PERSON.phone).label("people")
    numbers = select(*_WHO, _PERSON.phone, _PERSON.phone_source, people)
    one = numbers.where(*_are_in(scope), _PERSON.phone.is_not(None)).subquery().c
    query = select(*one).where(one.people > 1)
    order = (one.people.desc(), one.phone, func.lower(one.display_name).nulls_last(), one.object_id)
    for row in streaming(connection).execute(query.order_by(*order)):
        yield SharedNumber(**_who(row), phone=row.phone, phone_source=row.phone_source, people=row.people)


def _not_mobile(connection: Connection, scope: Scope) -> Iterator[NotMobile]:
    query = select(*_WHO, _PERSON.phone, _PERSON.phone_source).where(*_are_in(scope), _PERSON.phone.is_not(None))
    for row in streaming(connection).execute(query.order_by(*_BY_NAME)):
        kind = kind_of(row.phone)
        if kind is not NumberKind.MOBILE:
            yield NotMobile(**_who(row), phone=row.phone, phone_source=row.phone_source, kind=kind)


def _are_in(scope: Scope) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [_PERSON.tenant_id == scope.tenant_id]
    if scope.within is not None:
        conditions.append(_PERSON.object_id.in_(scope.within))
    return conditions


def _who(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    return {
        "object_id": row.object_id,
        "display_name": row.display_name,
        "mail": row.mail,
        "user_principal_name": row.user_principal_name,
        "enabled": row.account_enabled,
        "guest": is_guest(row.user_type),
    }
