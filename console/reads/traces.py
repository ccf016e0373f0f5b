"""What the database keeps of a person's id beside the contact: what is noted, held, and left over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from common.db.tables import groups, held_removals, memberships, rechecks, scope_members, streams
from common.messages import Stream
from console.reads import history, holds
from console.reads.history import Event
from console.reads.holds import Hold


@dataclass(frozen=True)
class Held:
    """The removal of somebody waits for a decision: it is number `number` of `hold`."""

    hold: Hold
    number: int


@dataclass(frozen=True)
class Traces:
    """What is known of an id."""

    last_passage: Event | None
    """When it last came into the book or left it."""
    is_group: bool
    read_again_at: datetime | None
    """Graph told too little of the person, so the object itself is read then."""
    held: Held | None
    is_reached: bool
    """A group of the tenant's scope reaches the id, as far as the worker has followed them."""
    edges: int
    """Memberships that name the id; they show only while the person is in the book."""
    next_poll_at: datetime | None
    """When the people are read next, whatever happens."""


def of(connection: Connection, tenant_id: str, object_id: str) -> Traces:
    """Return what is known of `object_id`."""
    of_users = (rechecks.c.tenant_id == tenant_id, rechecks.c.stream == Stream.USERS)
    is_group = select(groups.c.object_id).where(groups.c.tenant_id == tenant_id, groups.c.object_id == object_id)
    edges = select(func.count()).where(memberships.c.tenant_id == tenant_id, memberships.c.member_id == object_id)
    mine = (scope_members.c.tenant_id == tenant_id, scope_members.c.member_id == object_id)
    reached = select(scope_members.c.member_id).where(*mine)
    poll = select(streams.c.next_poll_at).where(streams.c.tenant_id == tenant_id, streams.c.stream == Stream.USERS)
    return Traces(
        last_passage=history.last_passage(connection, tenant_id, object_id),
        is_group=connection.scalar(is_group) is not None,
        read_again_at=connection.scalar(
            select(func.min(rechecks.c.due_at)).where(*of_users, rechecks.c.object_id == object_id)
        ),
        held=_held(connection, tenant_id, object_id),
        is_reached=connection.scalar(reached) is not None,
        edges=connection.scalar(edges) or 0,
        next_poll_at=connection.scalar(poll),
    )


def _held(connection: Connection, tenant_id: str, object_id: str) -> Held | None:
    removal = held_removals.c
    number = connection.scalar(
        select(removal.number).where(
            removal.tenant_id == tenant_id, removal.stream == Stream.USERS, removal.object_id == object_id
        )
    )
    if number is None:
        return None
    hold = next((one for one in holds.open_holds(connection, [tenant_id]) if one.stream is Stream.USERS), None)
    return Held(hold, number) if hold is not None else None
