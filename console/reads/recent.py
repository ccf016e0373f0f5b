"""What just happened: the latest rounds, and the changes of the last minute. Bounded, however large the book."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from common.db.tables import changes, rounds, tenants
from common.messages import Mode, Stream

ROUNDS = 50
CHANGES = 5_000
"""So many of the latest changes are looked at."""
WINDOW = timedelta(minutes=1)


@dataclass(frozen=True)
class RecentRound:
    """A round that changed something or answered a command."""

    tenant_name: str
    stream: Stream
    mode: Mode
    reason: str
    began_at: datetime
    ended_at: datetime
    outcome: str
    added: int
    changed: int
    removed: int


@dataclass(frozen=True)
class Tally:
    """How many changes of each kind there were within `WINDOW`; `is_all` is false when there were more than counted."""

    counts: Mapping[str, int]
    is_all: bool


def latest_rounds(connection: Connection, tenant_ids: Collection[str] | None = None) -> list[RecentRound]:
    """Return the latest rounds, newest first, of some tenants or of all."""
    row = rounds.c
    columns = [row[name] for name in RecentRound.__dataclass_fields__ if name in row]
    query = select(tenants.c.name.label("tenant_name"), *columns).join_from(rounds, tenants)
    if tenant_ids is None:
        query = query.order_by(row.round_id.desc())
    else:
        query = query.where(row.tenant_id.in_(tenant_ids)).order_by(row.ended_at.desc(), row.round_id.desc())
    return [
        RecentRound(**{**one, "stream": Stream(one["stream"]), "mode": Mode(one["mode"])})
        for one in connection.execute(query.limit(ROUNDS)).mappings()
    ]


def tally(connection: Connection, now: datetime, tenant_ids: Collection[str] | None = None) -> Tally:
    """Count the changes of the last minute by kind, e.g. ``contact.added``, as far as they are among the latest."""
    change = changes.c
    latest = select(change.tenant_id, change.kind, change.at).order_by(change.sequence.desc()).limit(CHANGES).subquery()
    query = select(latest.c.tenant_id, latest.c.kind, func.count()).where(latest.c.at > now - WINDOW)
    counts: Counter[str] = Counter()
    seen = 0
    for tenant_id, kind, count in connection.execute(query.group_by(latest.c.tenant_id, latest.c.kind)):
        seen += count
        if tenant_ids is None or tenant_id in tenant_ids:
            counts[kind] += count
    return Tally(counts, is_all=seen < CHANGES)
