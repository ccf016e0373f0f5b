"""How far the streams of some tenants are, and the rounds that answered a command."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, select

from common.db.tables import contacts, groups, rounds, streams, tenants
from common.db.tenants import TenantState
from common.messages import Stream


@dataclass(frozen=True)
class Advance:
    """A stream as it stands."""

    tenant_id: str
    stream: Stream
    last_good_at: datetime | None
    last_full_at: datetime | None
    last_began_at: datetime | None
    failures: int
    last_error: str | None
    lease_until: datetime | None
    wanted_at: datetime | None
    full_wanted_at: datetime | None
    full_wanted_reason: str | None
    full_began_at: datetime | None
    full_reason: str | None
    full_pages: int
    full_objects: int
    full_request_ids: tuple[str, ...]
    last_change_at: datetime | None = None
    last_change_lag_seconds: float | None = None


@dataclass(frozen=True)
class Pause:
    """What keeps a tenant from being advanced, if anything does."""

    state: TenantState
    reason: str | None
    since: datetime
    throttled_until: datetime | None


@dataclass(frozen=True)
class Answer:
    """A round that answered commands."""

    tenant_id: str
    stream: Stream
    outcome: str
    error: str | None
    began_at: datetime
    ended_at: datetime
    objects: int
    added: int
    changed: int
    removed: int
    request_ids: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        return self.outcome == "ok"


@dataclass(frozen=True)
class Mark:
    """The moment before a command is published: what answers it are later rounds than `round_id`."""

    at: datetime
    round_id: int


@dataclass(frozen=True)
class Look:
    """What the database says of some tenants at one moment."""

    now: datetime
    advances: Mapping[tuple[str, Stream], Advance]
    pauses: Mapping[str, Pause]
    answers: Sequence[Answer]


_ADVANCE = [streams.c[name] for name in Advance.__dataclass_fields__]
_ANSWER = [rounds.c[name] for name in Answer.__dataclass_fields__]


def look(connection: Connection, tenant_ids: Collection[str], *, now: datetime, after: int) -> Look:
    """Return how far the streams are, and the rounds later than round `after` that answered somebody."""
    advances = {(one.tenant_id, one.stream): one for one in of_tenants(connection, tenant_ids)}
    return Look(now, advances, pauses(connection, tenant_ids), answers(connection, tenant_ids, after=after))


def of_tenants(connection: Connection, tenant_ids: Collection[str]) -> list[Advance]:
    query = select(*_ADVANCE).where(streams.c.tenant_id.in_(tenant_ids))
    found = [_advance(row) for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda advance: (advance.tenant_id, list(Stream).index(advance.stream)))


def pauses(connection: Connection, tenant_ids: Collection[str]) -> dict[str, Pause]:
    columns = tenants.c
    query = select(
        columns.tenant_id, columns.state, columns.state_reason, columns.state_since, columns.throttled_until
    ).where(columns.tenant_id.in_(tenant_ids))
    return {
        row.tenant_id: Pause(TenantState(row.state), row.state_reason, row.state_since, row.throttled_until)
        for row in connection.execute(query)
    }


def mark(connection: Connection, now: datetime) -> Mark:
    """Return the moment that it is; `now` is the database's time."""
    newest: int = connection.execute(select(func.coalesce(func.max(rounds.c.round_id), 0))).scalar_one()
    return Mark(now, newest)


def answers(connection: Connection, tenant_ids: Collection[str], *, after: int) -> Sequence[Answer]:
    """Return the rounds later than round `after` that answered somebody."""
    query = select(*_ANSWER).where(rounds.c.round_id > after, rounds.c.tenant_id.in_(tenant_ids))
    found = (_answer(row) for row in connection.execute(query.order_by(rounds.c.round_id)).mappings())
    return [answer for answer in found if answer.request_ids]


def known_totals(connection: Connection, tenant_ids: Collection[str]) -> dict[tuple[str, Stream], int]:
    """Return how many people and groups the book holds, for each stream that has been read in full before."""
    totals: dict[tuple[str, Stream], int] = {}
    for one in of_tenants(connection, tenant_ids):
        if one.last_full_at is not None:
            table = contacts if one.stream is Stream.USERS else groups
            query = select(func.count()).select_from(table).where(table.c.tenant_id == one.tenant_id)
            totals[one.tenant_id, one.stream] = connection.execute(query).scalar_one()
    return totals


def _advance(row: RowMapping) -> Advance:
    values = dict(row)
    values["stream"] = Stream(values["stream"])
    values["full_request_ids"] = tuple(values["full_request_ids"] or ())
    return Advance(**values)


def _answer(row: RowMapping) -> Answer:
    values = dict(row)
    values["stream"] = Stream(values["stream"])
    values["request_ids"] = tuple(values["request_ids"] or ())
    return Answer(**values)
