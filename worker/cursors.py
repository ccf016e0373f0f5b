"""How a stream's row moves on: the live cursor, the full round under way, and the history of rounds.

Every function runs in a transaction that holds the lease (`leases.hold`) and takes the row as `hold` returned it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, insert, select
from sqlalchemy.engine import RowMapping

from common.db.tables import rechecks, rounds
from common.graph.resources import tells_another_scope
from common.messages import Mode, Reason, Stream
from worker import ledger, results
from worker.book import Counts
from worker.leases import LET_GO, StreamKey, is_wanted, set_values

NO_FULL_ROUND: dict[str, object] = {
    "full_began_at": None,
    "full_reason": None,
    "full_link": None,
    "full_pages": 0,
    "full_objects": 0,
    "full_added": 0,
    "full_changed": 0,
    "full_removed": 0,
    "full_request_ids": [],
}

_REMEMBERED = insert(rounds)
_NEXT_RECHECK = select(func.min(rechecks.c.due_at)).where(
    rechecks.c.tenant_id == bindparam("of_tenant"), rechecks.c.stream == bindparam("of_stream")
)


def want_full(connection: Connection, key: StreamKey, row: RowMapping, reason: Reason, now: datetime) -> None:
    """Ask for a full round unless one is asked for already."""
    if row["full_wanted_at"] is None:
        set_values(connection, key, {"full_wanted_at": now, "full_wanted_reason": reason})


def lose_live_cursor(connection: Connection, key: StreamKey, row: RowMapping, now: datetime) -> None:
    """The live cursor is dead: only a full round brings a new one; the one under way will do."""
    set_values(connection, key, {"delta_link": None, "next_link": None})
    if row["full_began_at"] is None:
        want_full(connection, key, row, Reason.TOKEN_EXPIRED, now)


def foreign_links(row: RowMapping, is_own: Callable[[str], bool]) -> list[str]:
    """Return which of the row's links lead to another Graph than the tenant's."""
    return [name for name in ("delta_link", "next_link", "full_link") if row[name] and not is_own(row[name])]


def leave_former_graph(
    connection: Connection, key: StreamKey, row: RowMapping, is_own: Callable[[str], bool], now: datetime
) -> bool:
    """Forget the links that lead to another Graph than the tenant's, and read it anew; tell whether there were any.

    That is so when a tenant was put into another cloud, or the settings name another Graph. `is_own` tells of a link
    whether it leads to the right one.
    """
    foreign = foreign_links(row, is_own)
    if "delta_link" in foreign:
        set_values(connection, key, {"delta_link": None, "next_link": None})
        if row["full_began_at"] is None:
            want_full(connection, key, row, Reason.FINGERPRINT, now)
    elif "next_link" in foreign:
        set_values(connection, key, {"next_link": None})
    if "full_link" in foreign:
        restart_full(connection, key, row, now)
    return bool(foreign)


def begin_full(connection: Connection, key: StreamKey, row: RowMapping, fingerprint: str, now: datetime) -> None:
    """Start the full round that is wanted: a new generation, from the first page.

    `fingerprint` is noted now, not at the end: what changes meanwhile finds its first pages read in the old way.
    """
    reason = _reason(row, fingerprint, row["full_wanted_reason"])
    wanted = {
        "generation": row["generation"] + 1,
        "fingerprint": fingerprint,
        "full_began_at": now,
        "full_reason": reason,
        "full_request_ids": row["full_wanted_request_ids"],
        "full_wanted_at": None,
        "full_wanted_reason": None,
        "full_wanted_request_ids": [],
    }
    set_values(connection, key, {**NO_FULL_ROUND, **wanted})


def restart_full(connection: Connection, key: StreamKey, row: RowMapping, now: datetime) -> None:
    """The page token of the full round died: begin it again, for the same commands."""
    kept = {
        "generation": row["generation"] + 1,
        "full_began_at": now,
        "full_reason": row["full_reason"],
        "full_request_ids": row["full_request_ids"],
    }
    set_values(connection, key, {**NO_FULL_ROUND, **kept})


def begin_full_anew(connection: Connection, key: StreamKey, row: RowMapping, fingerprint: str, now: datetime) -> None:
    """Begin the full round under way again, in the way of `fingerprint`: its link asks in the old one.

    A page that was never asked for an attribute would seem to say that nobody has one.
    """
    restart_full(connection, key, row, now)
    reason = _reason(row, fingerprint, row["full_reason"])
    set_values(connection, key, {"fingerprint": fingerprint, "full_reason": reason})


def keep_full_page(connection: Connection, key: StreamKey, row: RowMapping, next_link: str, counts: Counts) -> None:
    """A page of the full round is in the book: go on at `next_link`, also after a crash."""
    set_values(connection, key, {"full_link": next_link, "failures": 0, "last_error": None, **_progress(row, counts)})


def end_full(
    connection: Connection,
    key: StreamKey,
    row: RowMapping,
    *,
    delta_link: str,
    counts: Counts,
    now: datetime,
) -> None:
    """The full round ended: its link becomes the live cursor."""
    total = _progress(row, counts)
    remember(
        connection,
        key.tenant_id,
        key.stream,
        mode=Mode.FULL,
        reason=row["full_reason"],
        began_at=row["full_began_at"],
        now=now,
        pages=total["full_pages"],
        counts=Counts(total["full_objects"], total["full_added"], total["full_changed"], total["full_removed"]),
        request_ids=row["full_request_ids"],
    )
    live = {
        "delta_link": delta_link,
        "next_link": None,
        "last_full_at": now,
        "last_full_began_at": row["full_began_at"],
    }
    set_values(connection, key, {**NO_FULL_ROUND, **live, "failures": 0, "last_error": None})


def end_incremental(
    connection: Connection,
    key: StreamKey,
    row: RowMapping,
    *,
    delta_link: str,
    reason: Reason,
    began_at: datetime,
    pages: int,
    counts: Counts,
    answered: list[str],
    notified_at: datetime | None,
    poll_seconds: float,
    now: datetime,
    asked_before: datetime | None,
) -> bool:
    """The incremental round ended at `delta_link`; `answered` are the commands that waited when it began.

    `notified_at` is when the first of the notifications came that it answers, by the clock of the webhook's machine.
    What went wrong with a full round stays noted until that has got further.

    Lets go of the lease and returns True, if the round has answered all that was asked until `asked_before` and there
    is nothing else to do: no full round, no object to be read, nobody who asked later. None: the turn goes on.
    """
    if counts.altered or answered:
        remember(
            connection,
            key.tenant_id,
            key.stream,
            mode=Mode.INCREMENTAL,
            reason=reason,
            began_at=began_at,
            now=now,
            pages=pages,
            counts=counts,
            request_ids=answered,
        )
    recheck_at = _next_recheck(connection, key)
    values: dict[str, object] = {
        "delta_link": delta_link,
        "next_link": None,
        "last_began_at": began_at,
        "last_good_at": now,
        "next_poll_at": _next_poll(now, poll_seconds, recheck_at),
        "waiting_request_ids": [one for one in row["waiting_request_ids"] if one not in answered],
    }
    if notified_at is not None and counts.altered:
        lag_seconds = max(0.0, (now - notified_at).total_seconds())
        values |= {"last_change_at": now, "last_change_lag_seconds": lag_seconds}
    if row["full_began_at"] is None:
        values |= {"failures": 0, "last_error": None}
    wants_full = row["full_began_at"] is not None or row["full_wanted_at"] is not None
    is_due = recheck_at is not None and recheck_at <= now
    lets_go = not (asked_before is None or wants_full or is_due or is_wanted(row, asked_before))
    set_values(connection, key, {**values, **LET_GO} if lets_go else values)
    return lets_go


def note_failure(connection: Connection, key: StreamKey, row: RowMapping, error: str) -> None:
    set_values(connection, key, {"failures": row["failures"] + 1, "last_error": error})


def fail_commands(connection: Connection, key: StreamKey, row: RowMapping, error: str, now: datetime) -> None:
    """Answer every command that waits for this stream with `error`; what is under way stays where it is."""
    asked = row["waiting_request_ids"] + row["full_request_ids"] + row["full_wanted_request_ids"]
    if not asked:
        return
    mode = Mode.INCREMENTAL if row["waiting_request_ids"] == asked else Mode.FULL
    remember(
        connection,
        key.tenant_id,
        key.stream,
        mode=mode,
        reason=Reason.OPERATOR,
        began_at=row["full_began_at"] or now,
        now=now,
        pages=row["full_pages"],
        counts=Counts(),
        request_ids=asked,
        error=error,
    )
    nobody: dict[str, object] = {"waiting_request_ids": [], "full_request_ids": [], "full_wanted_request_ids": []}
    set_values(connection, key, nobody)


def remember(
    connection: Connection,
    tenant_id: str,
    stream: Stream,
    *,
    mode: Mode,
    reason: str,
    began_at: datetime,
    now: datetime,
    pages: int,
    counts: Counts,
    request_ids: list[str],
    error: str | None = None,
) -> None:
    """Add to the history of rounds: what was done, and which commands it answered; and answer them."""
    total = {"pages": pages, **counts.totals}
    row = {
        "tenant_id": tenant_id,
        "stream": stream,
        "mode": mode,
        "reason": reason,
        "began_at": began_at,
        "ended_at": now,
        "outcome": "ok" if error is None else "failed",
        "error": error,
        "request_ids": request_ids,
        **total,
    }
    connection.execute(_REMEMBERED, row)
    ledger.answer(connection, request_ids, tenant_id, stream, now, error=error, counts=total)
    if mode is Mode.FULL and error is None:
        results.note_round(connection, row)


def _reason(row: RowMapping, fingerprint: str, reason: str) -> str:
    """Return why a full round begins: a changed scope goes before `reason`, since it decides who leaves unheld."""
    return Reason.SCOPE_CHANGED if tells_another_scope(row["fingerprint"], fingerprint) else reason


def _progress(row: RowMapping, counts: Counts) -> dict[str, int]:
    return {
        "full_pages": row["full_pages"] + 1,
        "full_objects": row["full_objects"] + counts.objects,
        "full_added": row["full_added"] + counts.added,
        "full_changed": row["full_changed"] + counts.changed,
        "full_removed": row["full_removed"] + counts.removed,
    }


def _next_recheck(connection: Connection, key: StreamKey) -> datetime | None:
    """When the next object is to be read itself; None: none is."""
    due_at: datetime | None = connection.scalar(_NEXT_RECHECK, {"of_tenant": key.tenant_id, "of_stream": key.stream})
    return due_at


def _next_poll(now: datetime, poll_seconds: float, recheck_at: datetime | None) -> datetime:
    """The poll, spread so that not all streams come at once, or earlier if something is to be read itself."""
    poll = now + timedelta(seconds=poll_seconds * random.uniform(0.9, 1.1))  # noqa: S311 - jitter is no secret
    return poll if recheck_at is None else min(poll, recheck_at)
