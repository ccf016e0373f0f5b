"""The feed of changes, all of it or a tenant's, with the names of those who are still there."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from common.db.tables import changes, contacts, groups, tenants

AT_ONCE = 1_000
LATE_SECONDS = 300.0
"""A number that was not used after so long will not be: no transaction of a worker takes that long."""
LATE_LIMIT = 5_000


@dataclass(frozen=True)
class Change:
    """One change; `kind`, `fields` and `reason` are words of the feed."""

    sequence: int
    tenant_id: str
    tenant: str
    at: datetime
    kind: str
    object_id: str
    member_id: str | None
    fields: tuple[str, ...]
    reason: str
    name: str | None
    """Of the person or group that changed, or is the member; None where it has none, or is gone."""
    group: str | None
    """Of a membership: the name of the group, likewise."""


def latest(connection: Connection, *, tenant_id: str | None, limit: int) -> Sequence[Change]:
    """Return the latest changes, oldest first."""
    mine = [changes.c.tenant_id == tenant_id] if tenant_id is not None else []
    numbers = select(changes.c.sequence).where(*mine).order_by(changes.c.sequence.desc()).limit(limit)
    return _changes(connection, changes.c.sequence.in_(numbers))


def after(connection: Connection, sequence: int, *, tenant_id: str | None, limit: int) -> Sequence[Change]:
    """Return the first changes after number `sequence`, oldest first."""
    mine = [changes.c.tenant_id == tenant_id] if tenant_id is not None else []
    later = select(changes.c.sequence).where(changes.c.sequence > sequence, *mine)
    return _changes(connection, changes.c.sequence.in_(later.order_by(changes.c.sequence).limit(limit)))


def last_number(connection: Connection) -> int:
    """Return the number of the latest change of all tenants; 0 before the first."""
    return int(connection.scalar(select(func.max(changes.c.sequence))) or 0)


class Following:
    """Finds what is new after a number, and misses nothing.

    In PostgreSQL a change may become visible after others with higher numbers. So numbers that were left out are looked
    for as well, for a while.
    """

    def __init__(self, sequence: int) -> None:
        self._last = sequence
        self._late: dict[int, float] = {}
        """Number that was left out -> until when it is looked for, on `time.monotonic`."""

    def next(self, connection: Connection, *, tenant_id: str | None) -> Sequence[Change]:
        """Return what is new, oldest first; a part of it when it is much: then there is more at once."""
        now = time.monotonic()
        self._late = {number: until for number, until in self._late.items() if until > now}
        wanted = or_(changes.c.sequence > self._last, changes.c.sequence.in_(sorted(self._late)))
        query = select(changes.c.sequence).where(wanted).order_by(changes.c.sequence).limit(AT_ONCE)
        numbers = list(connection.scalars(query))
        self._note(numbers, now)
        mine = [changes.c.tenant_id == tenant_id] if tenant_id is not None else []
        return _changes(connection, and_(changes.c.sequence.in_(numbers), *mine)) if numbers else []

    def _note(self, numbers: Collection[int], now: float) -> None:
        for number in numbers:
            self._late.pop(number, None)
        for before, number in pairwise([self._last, *(one for one in numbers if one > self._last)]):
            left_out = range(max(before + 1, number - LATE_LIMIT), number)
            self._late |= dict.fromkeys(left_out, now + LATE_SECONDS)
        self._late = dict(list(self._late.items())[-LATE_LIMIT:])
        self._last = max([self._last, *numbers])


def _changes(connection: Connection, which: ColumnElement[bool]) -> Sequence[Change]:
    nested = groups.alias()
    subject = func.coalesce(changes.c.member_id, changes.c.object_id)
    person = and_(contacts.c.tenant_id == changes.c.tenant_id, contacts.c.object_id == subject)
    team = and_(groups.c.tenant_id == changes.c.tenant_id, groups.c.object_id == changes.c.object_id)
    member = and_(nested.c.tenant_id == changes.c.tenant_id, nested.c.object_id == changes.c.member_id)
    query = (
        select(
            changes,
            tenants.c.name.label("tenant"),
            contacts.c.display_name.label("person"),
            groups.c.display_name.label("team"),
            nested.c.display_name.label("member"),
        )
        .join_from(changes, tenants, tenants.c.tenant_id == changes.c.tenant_id)
        .outerjoin(contacts, person)
        .outerjoin(groups, team)
        .outerjoin(nested, member)
        .where(which)
        .order_by(changes.c.sequence)
    )
    return [
        Change(
            sequence=row.sequence,
            tenant_id=row.tenant_id,
            tenant=row.tenant,
            at=row.at,
            kind=row.kind,
            object_id=row.object_id,
            member_id=row.member_id,
            fields=tuple(row.fields or ()),
            reason=row.reason,
            name=row.person or (row.team if row.member_id is None else row.member),
            group=row.team if row.member_id is not None else None,
        )
        for row in connection.execute(query)
    ]
