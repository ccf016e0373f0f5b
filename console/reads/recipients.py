"""Who gets a message to groups: everybody in them, directly or through nested groups, and each number once.

Everybody in the groups is judged, in one query. Of several people with one number the message goes to the one who has
it as mobile phone, and of those to the one with the smallest object id: always the same as long as the book is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Select, Subquery, case, func, literal, or_, select, union_all

from common.db import members
from common.db.tables import Guid, contacts
from common.db.tenants import RecipientRule
from common.phones import PhoneSource, PhoneState
from console.reads.export import streaming
from console.reads.people import GUEST


class LeftOut(StrEnum):
    """Why somebody in the groups gets no message; of several reasons the first."""

    EXCLUDED = "excluded"
    DISABLED = "disabled"
    GUEST = "guest"
    MISSING = "missing"
    INVALID = "invalid"
    EXCLUDED_NUMBER = "excluded_number"
    SAME_NUMBER = "same_number"


@dataclass(frozen=True)
class Selection:
    """Everybody in `group_ids`, but nobody who is in `except_ids`, and no number of anybody there."""

    tenant_id: str
    rule: RecipientRule
    group_ids: tuple[str, ...]
    except_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipient:
    """A number that is sent to (E.164), and whose it is."""

    phone: str
    display_name: str | None
    given_name: str | None
    surname: str | None
    object_id: str


_FIELDS = tuple(Recipient.__dataclass_fields__)


def judged(connection: Connection, wanted: Selection) -> Iterator[Recipient | LeftOut]:
    """Yield for everybody in the groups the recipient, or why there is none; ordered by object id."""
    everybody = _everybody(wanted)
    query = select(everybody.c.left_out, *(everybody.c[name] for name in _FIELDS))
    for left_out, *person in streaming(connection).execute(query.order_by(everybody.c.object_id)):
        yield Recipient(*person) if left_out is None else LeftOut(left_out)


def page_by_id(connection: Connection, wanted: Selection, after: str | None, limit: int) -> list[Recipient]:
    """Return the first recipients after the object id `after`, ordered by object id."""
    one = _everybody(wanted).c
    later = [one.object_id > after] if after is not None else []
    query = select(*(one[name] for name in _FIELDS)).where(one.left_out.is_(None), *later)
    return [Recipient(*row) for row in connection.execute(query.order_by(one.object_id).limit(limit))]


def count(connection: Connection, wanted: Selection) -> Counter[LeftOut | None]:
    """Return how many are left out for each reason, and under None how many are recipients."""
    one = _everybody(wanted).c
    query = select(one.left_out, func.count()).group_by(one.left_out)
    return Counter(
        {None if left_out is None else LeftOut(left_out): people for left_out, people in connection.execute(query)}
    )


def _everybody(wanted: Selection) -> Subquery:
    """Return everybody in the groups with `left_out`, null for recipients."""
    one = _candidates(wanted).subquery().c
    cannot = or_(one.is_excluded == 1, one.left_out.is_not(None))
    turn = func.row_number().over(
        partition_by=one.phone, order_by=(cannot, one.phone_source != PhoneSource.MOBILE, one.object_id)
    )
    left_out = case(
        (one.is_excluded == 1, LeftOut.EXCLUDED.value),
        (one.left_out.is_not(None), one.left_out),
        (func.max(one.is_excluded).over(partition_by=one.phone) == 1, LeftOut.EXCLUDED_NUMBER.value),
        (turn > 1, LeftOut.SAME_NUMBER.value),
    )
    ranked = select(*(one[name] for name in _FIELDS), one.is_included, left_out.label("left_out")).subquery()
    # Only now: the windows above have to see who is excluded without being in the groups.
    return select(ranked).where(ranked.c.is_included == 1).subquery()


def _candidates(wanted: Selection) -> Select[Any]:
    """Return who is in the groups or excluded; `left_out` says why somebody is no recipient whoever else is one."""
    person = contacts.c
    reasons = [
        (person.phone_state == PhoneState.MISSING, LeftOut.MISSING.value),
        (person.phone_state == PhoneState.INVALID, LeftOut.INVALID.value),
    ]
    if not wanted.rule.guests:
        reasons.insert(0, (func.lower(person.user_type) == GUEST, LeftOut.GUEST.value))
    if not wanted.rule.disabled:
        reasons.insert(0, (person.account_enabled.is_(False), LeftOut.DISABLED.value))
    found = _included_and_excluded(wanted)
    return select(
        *(person[name] for name in _FIELDS),
        person.phone_source,
        found.c.is_included,
        found.c.is_excluded,
        case(*reasons).label("left_out"),
    ).join_from(found, contacts, (person.tenant_id == found.c.tenant_id) & (person.object_id == found.c.object_id))


def _included_and_excluded(wanted: Selection) -> Subquery:
    """Return the ids of who is in the groups or excluded, each once, with 1 or 0 for each of the two."""
    included, excluded = (
        members.people_within(wanted.tenant_id, *group_ids).subquery()
        for group_ids in (wanted.group_ids, wanted.except_ids)
    )
    both = union_all(
        select(included.c.member_id, literal(1).label("is_included"), literal(0).label("is_excluded")),
        select(excluded.c.member_id, literal(0), literal(1)),
    ).subquery()
    return (
        select(
            literal(wanted.tenant_id, Guid).label("tenant_id"),
            both.c.member_id.label("object_id"),
            func.max(both.c.is_included).label("is_included"),
            func.max(both.c.is_excluded).label("is_excluded"),
        )
        .group_by(both.c.member_id)
        .subquery()
    )
