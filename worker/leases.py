"""One reader a stream: a lease in the database, on the database's clock, with a fence.

Every transaction that writes for a stream begins with `hold`: it locks the stream's row and proves that the fence is
still ours. A worker that lost its lease therefore cannot commit anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, or_, select, update
from sqlalchemy.engine import RowMapping

from common.db.engine import Database
from common.db.tables import streams
from common.errors import LeaseLostError
from common.messages import Reason, Stream

AFTER_LEASE = timedelta(seconds=1)
AFTER_NOTING = timedelta(seconds=5)
"""The poll sees to what was noted if the request for it is lost."""

LET_GO: Mapping[str, object] = {"lease_holder": None, "lease_until": None, "wanted_at": None}
"""What the row says when nobody holds it, and all that was asked for is answered."""

# One of these begins every transaction of a turn: each does in one statement what could be a look and an update, and
# is made once, since SQLAlchemy takes as long to make a statement as the database to carry it out.
_MINE = (streams.c.tenant_id == bindparam("of_tenant"), streams.c.stream == bindparam("of_stream"))
_IS_FREE = or_(
    streams.c.lease_holder.is_(None),
    streams.c.lease_holder == bindparam("holder"),
    streams.c.lease_until <= bindparam("at"),
)
_SET = update(streams).where(*_MINE)
_TAKEN = (
    update(streams)
    .where(*_MINE, _IS_FREE)
    .values(
        lease_holder=bindparam("holder"),
        lease_fence=streams.c.lease_fence + 1,
        lease_until=bindparam("until"),
        wanted_at=None,
    )
    .returning(*streams.c)
)
_PROLONGED = (
    update(streams)
    .where(*_MINE, streams.c.lease_fence == bindparam("fence"), streams.c.lease_holder == bindparam("holder"))
    .values(lease_until=bindparam("until"))
    .returning(*streams.c)
)


@dataclass(frozen=True)
class StreamKey:
    """Names one stream of one tenant."""

    tenant_id: str
    stream: Stream


@dataclass(frozen=True)
class Look:
    """A stream's row as a transaction under its lease left it.

    `at` is the database's time before that: whatever is noted in the row later is noted after it.
    """

    row: RowMapping
    at: datetime


@dataclass(frozen=True)
class Lease:
    """The right to advance a stream, as long as nobody else has taken a higher fence."""

    key: StreamKey
    holder: str
    fence: int
    seconds: float
    taken: Look = field(compare=False, repr=False)


@dataclass(frozen=True)
class Wishes:
    """What requests ask for beyond an incremental round; kept in the stream's row, whoever holds the lease."""

    full_reason: Reason | None = None
    full_requested_at: datetime | None = None
    """On the database's clock, as all that it is compared with."""
    full_request_ids: tuple[str, ...] = ()
    request_ids: tuple[str, ...] = ()


NOTHING = Wishes()


def acquire(
    database: Database, connection: Connection, key: StreamKey, holder: str, seconds: float, wishes: Wishes
) -> Lease | None:
    """Note the wishes, and take the lease if it is free; otherwise leave word that the stream is wanted: None.

    `holder` names one run of one process, which never asks twice at once (`worker.inbox`): a lease that it could not
    let go of is its own again. The word cannot be missed: it is read by the holder when it lets go (`release`), under
    the same row lock. Should the holder die, the stream is polled as soon as its lease has run out.
    """
    if wishes == NOTHING and (lease := _taken(database, connection, key, holder, seconds)) is not None:
        return lease
    row = locked(connection, key)
    if row is None:
        return None
    now = database.now(connection)
    values = _noted(row, wishes, now)
    is_held = row["lease_holder"] not in (None, holder) and row["lease_until"] > now
    if is_held:
        values |= {"wanted_at": now, "next_poll_at": min(row["next_poll_at"], row["lease_until"] + AFTER_LEASE)}
    set_values(connection, key, values)
    return None if is_held else _taken(database, connection, key, holder, seconds)


def note_wishes(connection: Connection, key: StreamKey, wishes: Wishes, now: datetime) -> None:
    """Note wishes without taking the lease: whoever advances the stream next sees to them, at the latest the poll."""
    row = locked(connection, key)
    if row is not None:
        soon = min(row["next_poll_at"], now + AFTER_NOTING)
        set_values(connection, key, {**_noted(row, wishes, now), "wanted_at": now, "next_poll_at": soon})


def hold(database: Database, connection: Connection, lease: Lease) -> RowMapping:
    """Prove and prolong the lease inside a transaction; return the stream's row, locked until the commit.

    Raises:
        LeaseLostError: another worker has it; the transaction must not be committed.
    """
    return look(database, connection, lease).row


def look(database: Database, connection: Connection, lease: Lease) -> Look:
    """Do as `hold`, and tell the time as well."""
    now = database.now(connection)
    until = now + timedelta(seconds=lease.seconds)
    held = {**_names(lease.key), "fence": lease.fence, "holder": lease.holder, "until": until}
    row = connection.execute(_PROLONGED, held).mappings().one_or_none()
    if row is None:
        raise LeaseLostError("Another worker has taken over the stream.")
    return Look(row, now)


def release(database: Database, lease: Lease, began_at: datetime) -> bool:
    """Let go; return False, still holding, when the stream was wanted after `began_at` (the database's time)."""
    with database.write() as connection:
        if is_wanted(hold(database, connection, lease), began_at):
            return False
        set_values(connection, lease.key, LET_GO)
        return True


def is_wanted(row: RowMapping, began_at: datetime) -> bool:
    """Tell whether somebody has left word since `began_at`, by the database; `row` must be locked."""
    return row["wanted_at"] is not None and row["wanted_at"] >= began_at


def abandon(database: Database, lease: Lease) -> None:
    """Let go with work left; whoever wanted the stream meanwhile finds it by the poll, soon.

    Raises:
        LeaseLostError: there is nothing to let go of.
    """
    with database.write() as connection:
        row = hold(database, connection, lease)
        values = dict(LET_GO)
        if row["wanted_at"] is not None:
            values["next_poll_at"] = min(row["next_poll_at"], database.now(connection) + AFTER_LEASE)
        set_values(connection, lease.key, values)


def set_values(connection: Connection, key: StreamKey, values: Mapping[str, object]) -> None:
    """Write columns of the stream's row; the row must be locked by this transaction."""
    if values:
        connection.execute(_SET, {**_names(key), **values})


def locked(connection: Connection, key: StreamKey) -> RowMapping | None:
    """Return the stream's row, locked until the end of the transaction; None when the tenant is gone."""
    query = select(streams).where(streams.c.tenant_id == key.tenant_id, streams.c.stream == key.stream)
    return connection.execute(query.with_for_update()).mappings().one_or_none()


def _taken(database: Database, connection: Connection, key: StreamKey, holder: str, seconds: float) -> Lease | None:
    """Take the lease if it is free."""
    now = database.now(connection)
    asked = {**_names(key), "holder": holder, "at": now, "until": now + timedelta(seconds=seconds)}
    row = connection.execute(_TAKEN, asked).mappings().one_or_none()
    return Lease(key, holder, row["lease_fence"], seconds, Look(row, now)) if row is not None else None


def _names(key: StreamKey) -> dict[str, str]:
    return {"of_tenant": key.tenant_id, "of_stream": key.stream}


def _noted(row: RowMapping, wishes: Wishes, now: datetime) -> dict[str, object]:
    """Return what the wishes change in the row.

    A full round that began after a request was made answers it: the one under way when it ends, one that has ended by
    the incremental round that comes next. While the book is read for the first time, that reading answers in any case:
    another one right after it would tell nothing new.
    """
    values: dict[str, object] = {}
    waiting = wishes.request_ids
    if wishes.full_reason is not None and wishes.full_requested_at is not None:
        asked_at, began_at = wishes.full_requested_at, row["full_began_at"]
        if began_at is not None and (began_at >= asked_at or row["delta_link"] is None):
            values["full_request_ids"] = _union(row["full_request_ids"], wishes.full_request_ids)
        elif _has_answered(row, asked_at):
            waiting += wishes.full_request_ids
        else:
            values["full_wanted_at"] = now
            values["full_wanted_reason"] = wishes.full_reason
            values["full_wanted_request_ids"] = _union(row["full_wanted_request_ids"], wishes.full_request_ids)
    if waiting:
        values["waiting_request_ids"] = _union(row["waiting_request_ids"], waiting)
    return values


def _has_answered(row: RowMapping, asked_at: datetime) -> bool:
    """Whether the latest full round that ended began after `asked_at`, or was the first one and ended after it."""
    began_at, ended_at = row["last_full_began_at"], row["last_full_at"]
    if began_at is None or ended_at is None:
        return False
    return bool(began_at >= asked_at or (row["generation"] == 1 and ended_at >= asked_at))


def _union(old: list[str], new: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys([*old, *new]))
