"""What the database says about all tenants together: counts, and the worst of each. Names nobody.

A handful of statements over the small tables, each a single answer, however many people there are in the book.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, case, func, select

from common.db.engine import Database
from common.db.tables import UNPUBLISHED, changes, held_removals, streams, subscriptions, tenants
from common.db.tenants import TenantState
from common.messages import Stream

SUBSCRIPTION_STATES = ("working", "missing", "expired")


@dataclass(frozen=True)
class StreamCensus:
    """One of the two streams, over all tenants; ages in seconds, of the worst.

    But for the holds, they are those of active tenants: nobody expects news of the others.
    """

    round_age_seconds: float = 0.0
    """Since a round last ended well; since the tenant was added if none has. A first sync under way is no age."""
    streams_failing: int = 0
    full_rounds_running: int = 0
    full_round_age_seconds: float = 0.0
    holds_open: int = 0
    removals_held: int = 0


@dataclass(frozen=True)
class Census:
    """All tenants at one moment, on the database's clock."""

    tenants: Mapping[str, int]
    tenants_throttled: int
    streams: Mapping[Stream, StreamCensus]
    subscriptions: Mapping[str, int]
    subscription_remaining_seconds: float | None
    """Until the first working subscription expires; None when there is none."""
    credential_remaining_seconds: float | None
    """Until the first credential expires, negative when one has; None when no expiry is known."""
    events_unpublished: int
    """Changes that wait to be published as events."""
    event_age_seconds: float
    """Since the first of them was made; 0 when none waits."""


def take(database: Database, *, wants_subscriptions: bool, publishes_events: bool) -> Census:
    """Count.

    Raises:
        DatabaseUnavailableError: the database does not answer.
    """
    with database.read() as connection:
        now = database.now(connection)
        in_state, throttled, credential_expiry = _tenants(connection, now)
        states, subscription_expiry = _subscriptions(connection, now)
        unpublished, first_change_at = _events(connection) if publishes_events else (0, None)
        return Census(
            tenants={state: in_state.get(state, 0) for state in TenantState},
            tenants_throttled=throttled,
            streams=_streams(connection, now),
            subscriptions={state: states.get(state, 0) if wants_subscriptions else 0 for state in SUBSCRIPTION_STATES},
            subscription_remaining_seconds=_seconds(now, subscription_expiry),
            credential_remaining_seconds=_seconds(now, credential_expiry),
            events_unpublished=unpublished,
            event_age_seconds=max(0.0, -(_seconds(now, first_change_at) or 0.0)),
        )


def _tenants(connection: Connection, now: datetime) -> tuple[dict[str, int], int, datetime | None]:
    rows = connection.execute(
        select(
            tenants.c.state,
            func.count().label("tenants"),
            func.count(case((tenants.c.throttled_until > now, 1))).label("throttled"),
            func.min(tenants.c.credential_expires_at).label("expiry"),
        ).group_by(tenants.c.state)
    ).all()
    expiry = min((row.expiry for row in rows if row.expiry is not None), default=None)
    return {row.state: row.tenants for row in rows}, sum(row.throttled for row in rows), expiry


def _streams(connection: Connection, now: datetime) -> dict[Stream, StreamCensus]:
    """Return what is said of each stream; the rows of no tenant at all say nothing."""
    first_sync = and_(streams.c.last_good_at.is_(None), streams.c.full_began_at.is_not(None))
    last_good = case((~first_sync, func.coalesce(streams.c.last_good_at, tenants.c.created_at)))
    advanced = connection.execute(
        select(
            streams.c.stream,
            func.min(last_good).label("last_good_at"),
            func.count(case((streams.c.failures > 0, 1))).label("failing"),
            func.count(streams.c.full_began_at).label("full_rounds"),
            func.min(streams.c.full_began_at).label("full_began_at"),
        )
        .join(tenants, tenants.c.tenant_id == streams.c.tenant_id)
        .where(tenants.c.state == TenantState.ACTIVE)
        .group_by(streams.c.stream)
    )
    by_stream = {row.stream: row for row in advanced}
    holds = _count_by_stream(connection, streams, streams.c.hold_id.is_not(None))
    held = _count_by_stream(connection, held_removals)
    found = {}
    for stream in Stream:
        row = by_stream.get(stream)
        found[stream] = StreamCensus(
            round_age_seconds=-(_seconds(now, row.last_good_at) or 0.0) if row else 0.0,
            streams_failing=row.failing if row else 0,
            full_rounds_running=row.full_rounds if row else 0,
            full_round_age_seconds=-(_seconds(now, row.full_began_at) or 0.0) if row else 0.0,
            holds_open=holds.get(stream, 0),
            removals_held=held.get(stream, 0),
        )
    return found


def _subscriptions(connection: Connection, now: datetime) -> tuple[dict[str, int], datetime | None]:
    """Return how many streams of active tenants have which kind of subscription, and when the first will expire."""
    expires_at = subscriptions.c.expires_at
    state = case((expires_at.is_(None), "missing"), (expires_at > now, "working"), else_="expired")
    same = and_(subscriptions.c.tenant_id == streams.c.tenant_id, subscriptions.c.stream == streams.c.stream)
    rows = connection.execute(
        select(state.label("condition"), func.count().label("streams"), func.min(expires_at).label("expiry"))
        .select_from(streams)
        .join(tenants, tenants.c.tenant_id == streams.c.tenant_id)
        .join(subscriptions, same, isouter=True)
        .where(tenants.c.state == TenantState.ACTIVE)
        .group_by("condition")
    ).all()
    expiry = next((row.expiry for row in rows if row.condition == "working"), None)
    return {row.condition: row.streams for row in rows}, expiry


def _events(connection: Connection) -> tuple[int, datetime | None]:
    """Return how many changes wait to be published, and when the first of them was made."""
    row = connection.execute(select(func.count(), func.min(changes.c.at)).where(UNPUBLISHED)).one()
    return row[0], row[1]


def _count_by_stream(connection: Connection, table: Table, *which: ColumnElement[bool]) -> dict[str, int]:
    query = select(table.c.stream, func.count().label("rows")).where(*which).group_by(table.c.stream)
    return {row.stream: row.rows for row in connection.execute(query)}


def _seconds(now: datetime, moment: datetime | None) -> float | None:
    return None if moment is None else (moment - now).total_seconds()
