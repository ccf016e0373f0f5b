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
LOOKED_AT = 10_000
"""So many people at most are looked at for a page."""


@dataclass(frozen=True)
class Page:
    """Some of a report, and after which object id it goes on; None: nobody else is in it."""

    people: list[Reported]
    goes_on_after: str | None


def rows(connection: Connection, report: Report, scope: Scope) -> Iterator[Reported]:
    """Yield who is in a report: by name; of shared numbers those that most people have first, by number, then name."""
    one = _found(report, scope).subquery().c
    order: list[ColumnElement[Any]] = [func.lower(one.display_name).nulls_last(), one.object_id]
    if report is Report.SHARED:
        order = [one.people.desc(), one.phone, *order]
    for row in streaming(connection).execute(select(*one).order_by(*order)):
        reported = _reported(report, scope, row)
        if reported is not None:
            yield reported


def page_by_id(connection: Connection, report: Report, scope: Scope, after: str | None, limit: int) -> Page:
    """Return the first who are in a report after the object id `after`, ordered by object id, which never changes.

    What kind a number is of is worked out here: where nearly all are mobile ones, a page may end early, or be empty,
    and go on all the same.
    """
    one = _found(report, scope).subquery().c
    later = [one.object_id > after] if after is not None else []
    looked_at = LOOKED_AT if report is Report.NOT_MOBILE else limit + 1
    query = select(*one).where(*later).order_by(one.object_id).limit(looked_at)
    people: list[Reported] = []
    with streaming(connection).execute(query) as found:
        for seen, row in enumerate(found, start=1):
            reported = _reported(report, scope, row)
            if reported is not None and len(people) == limit:
                return Page(people, people[-1].object_id)
            if reported is not None:
                people.append(reported)
            if seen == looked_at:
                return Page(people, row.object_id)
    return Page(people, None)


def _found(report: Report, scope: Scope) -> Select[Any]:
    """Return everybody who is in the report; of `NOT_MOBILE` everybody who has a number."""
    match report:
        case Report.MISSING:
            return select(*_WHO).where(*_are_in(scope), _PERSON.phone_state == PhoneState.MISSING)
        case Report.INVALID:
            more = (_PERSON.mobile_phone, _PERSON.business_phones, _PERSON.usage_location)
            return select(*_WHO, *more).where(*_are_in(scope), _PERSON.phone_state == PhoneState.INVALID)
        case Report.SHARED:
            people = func.count().over(partition_by=_PERSON.phone).label("people")
            one = _with_number(scope).add_columns(people).subquery().c
            return select(*one).where(one.people > 1)
        case Report.NOT_MOBILE:
            return _with_number(scope)


def _with_number(scope: Scope) -> Select[Any]:
    return select(*_WHO, _PERSON.phone, _PERSON.phone_source).where(*_are_in(scope), _PERSON.phone.is_not(None))


def _reported(report: Report, scope: Scope, row: Row[*tuple[Any, ...]]) -> Reported | None:
    """Return somebody as the report tells it, None for somebody whose number is a mobile one after all."""
    match report:
        case Report.MISSING:
            return Reported(**_who(row))
        case Report.INVALID:
            region = row.usage_location or scope.default_region
            numbers = {"mobile_phone": row.mobile_phone, "business_phones": row.business_phones}
            return InvalidNumber(**_who(row), **numbers, region=region)
        case Report.SHARED:
            return SharedNumber(**_who(row), phone=row.phone, phone_source=row.phone_source, people=row.people)
        case Report.NOT_MOBILE:
            kind = kind_of(row.phone)
            number = {"phone": row.phone, "phone_source": row.phone_source}
            return None if kind is NumberKind.MOBILE else NotMobile(**_who(row), **number, kind=kind)


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
