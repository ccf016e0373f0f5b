"""What happened to a person, from the feed of changes: ids and names of fields, never what stood in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from common.db.tables import changes, groups

ARRIVALS = ("contact.added", "group.added")
DEPARTURES = ("contact.removed", "group.removed")


@dataclass(frozen=True)
class Event:
    """One change. `kind` and `reason` are words of the feed; `fields` are columns of `contacts`."""

    at: datetime
    kind: str
    reason: str
    fields: tuple[str, ...] = ()
    group_id: str | None = None
    """Of a membership change."""
    group_name: str | None = None
    """None where the group has no name, or is no longer in the book."""

    @property
    def is_departure(self) -> bool:
        return self.kind in DEPARTURES

    @property
    def is_of_group(self) -> bool:
        """Whether the id is a group's, and nobody's."""
        return self.kind.startswith("group.")


def of_person(connection: Connection, tenant_id: str, object_id: str, *, limit: int) -> list[Event]:
    """Return what happened to a person and to the direct memberships, latest first."""
    own = and_(changes.c.object_id == object_id, changes.c.kind.like("contact.%"))
    return _events(connection, tenant_id, or_(own, changes.c.member_id == object_id), limit)


def last_passage(connection: Connection, tenant_id: str, object_id: str) -> Event | None:
    """Return when somebody (or a group) last came into the book or left it, if ever."""
    passage = and_(changes.c.object_id == object_id, changes.c.kind.in_((*ARRIVALS, *DEPARTURES)))
    return next(iter(_events(connection, tenant_id, passage, 1)), None)


def _events(connection: Connection, tenant_id: str, which: ColumnElement[bool], limit: int) -> list[Event]:
    team = and_(groups.c.tenant_id == changes.c.tenant_id, groups.c.object_id == changes.c.object_id)
    change = changes.c
    query = (
        select(
            change.at,
            change.kind,
            change.reason,
            change.fields,
            change.object_id,
            change.member_id,
            groups.c.display_name,
        )
        .select_from(changes.outerjoin(groups, team))
        .where(change.tenant_id == tenant_id, which)
        .order_by(change.sequence.desc())
        .limit(limit)
    )
    return [
        Event(
            row.at,
            row.kind,
            row.reason,
            _fields(row.fields),
            row.object_id if row.member_id is not None else None,
            row.display_name if row.member_id is not None else None,
        )
        for row in connection.execute(query)
    ]


def _fields(value: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(value or ())
