"""The removal guard: when too many would leave the book, nobody does until an operator has decided.

Within a day, contacts (or groups) may leave unasked as long as they are not more than the tenant's limit: 20, or 10 %
of the book, whichever is more. What exactly is applied:

* below and at the limit: every removal, as it comes;
* the page, or the sweep of a full round, that would go beyond the limit: none of its removals, they are held; what
  earlier pages removed within the limit stays removed;
* from then on: no removal of this stream, until the hold is decided. Everything else goes on: new people, changes,
  memberships, the cursor.

Who is shown by the directory again is no longer held. `holds` carries out what was decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, and_, delete, distinct, exists, func, insert, literal, select, update

from common import logging
from common.db.engine import batches
from common.db.tables import changes, contacts, groups, held_removals, holds, rechecks, streams
from common.messages import Mode, Reason, Stream
from worker import cursors, results
from worker.book import Counts, Writer

WINDOW = timedelta(days=1)
"""What left within this time counts together: somebody who deletes a company takes more than one round for it."""

TABLES: dict[Stream, Table] = {Stream.USERS: contacts, Stream.GROUPS: groups}
AGREED = (Reason.APPROVED, Reason.RESCOPED)
REMOVED: dict[Stream, str] = {Stream.USERS: "contact.removed", Stream.GROUPS: "group.removed"}

log = logging.get("removal_guard")


def hold_back(writer: Writer, stream: Stream, object_ids: Sequence[str]) -> set[str]:
    """Return those of `object_ids` that must not be removed now; they are held.

    `object_ids` are in the book, and a page says that they are removed: it is all of them or nobody.
    """
    if not object_ids or (writer.hold_id is None and not is_too_many(writer, stream, len(object_ids))):
        return set()
    fresh = sorted(set(object_ids) - held_among(writer, stream, object_ids))
    last_number = _last_number(writer, _hold(writer, stream))
    rows = [
        {
            "tenant_id": writer.tenant_id,
            "stream": stream,
            "object_id": object_id,
            "number": number,
            "noted_at": writer.now,
        }
        for number, object_id in enumerate(fresh, last_number + 1)
    ]
    if rows:
        writer.connection.execute(insert(held_removals), rows)
        _forget_doubts(writer, stream, fresh)
        _count_up(writer, stream, last_number, len(rows))
    return set(object_ids)


def hold_back_unseen(writer: Writer, stream: Stream, unseen: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition for those rows among `unseen` that a sweep may remove; the others are held."""
    table = TABLES[stream]
    fresh = and_(unseen, ~is_held(table.c.object_id, writer.tenant_id))
    count = writer.connection.execute(select(func.count()).select_from(table).where(fresh)).scalar_one()
    if count and (writer.hold_id is not None or is_too_many(writer, stream, count)):
        last_number = _last_number(writer, _hold(writer, stream))
        rows = select(
            literal(writer.tenant_id, table.c.tenant_id.type),
            literal(str(stream)),
            table.c.object_id,
            last_number + func.row_number().over(order_by=table.c.object_id),
            literal(writer.now, held_removals.c.noted_at.type),
        ).where(fresh)
        columns = ["tenant_id", "stream", "object_id", "number", "noted_at"]
        writer.connection.execute(insert(held_removals).from_select(columns, rows))
        _count_up(writer, stream, last_number, count)
    return fresh


def let_go(writer: Writer, stream: Stream, object_ids: Sequence[str]) -> None:
    """Hold no longer who is shown again.

    As for everybody who comes back, Graph does not tell all memberships: the lists of the groups concerned are read.
    """
    if writer.hold_id is None:
        return
    returned = sorted(held_among(writer, stream, object_ids))
    for batch in batches(returned):
        mine = _mine(writer, stream)
        writer.connection.execute(delete(held_removals).where(mine, held_removals.c.object_id.in_(batch)))
    writer.recheck_groups_of(returned)
    if stream is Stream.GROUPS:
        writer.recheck(stream, "members", returned)
    if returned and not count_held(writer, stream):
        close(writer, stream, "returned")


def close(writer: Writer, stream: Stream, outcome: str) -> None:
    """End the hold: ``approved``, ``rejected``, or ``returned``, when nobody is left in it."""
    ended = update(holds).where(holds.c.hold_id == writer.hold_id).values(ended_at=writer.now, outcome=outcome)
    decided = writer.connection.execute(
        ended.returning(holds.c.decision, holds.c.decided_at, holds.c.decision_request_id)
    ).one()
    _set_hold(writer, stream, None)
    if outcome == "returned" and decided.decision == "approve":  # nobody is left to be removed: that is the answer
        answer_approval(writer, stream, decided.decided_at, decided.decision_request_id, Counts())
    log.info("hold_ended", tenant=writer.tenant_id, stream=stream, outcome=outcome)


def answer_approval(writer: Writer, stream: Stream, decided_at: datetime, request_id: str, counts: Counts) -> None:
    """Tell whoever approved that it is done, and how many left."""
    cursors.remember(
        writer.connection,
        writer.tenant_id,
        stream,
        mode=Mode.INCREMENTAL,
        reason=Reason.APPROVED,
        began_at=decided_at,
        now=writer.now,
        pages=0,
        counts=counts,
        request_ids=[request_id],
    )


def is_too_many(writer: Writer, stream: Stream, count: int) -> bool:
    """Whether `count` removals, together with those of the last day, are more than the tenant's limit."""
    limit = writer.removal_limit
    lately = _removed_lately(writer, stream)
    gone = lately + count
    if gone <= limit.count:
        return False
    if limit.percent == 0:
        return True
    # A large book is not counted for each removal: it is enough to know that it has this many rows.
    needed = -(-gone * 100 // limit.percent) - lately
    table = TABLES[stream]
    mine = table.c.tenant_id == writer.tenant_id
    return writer.connection.scalar(select(literal(1)).where(mine).offset(needed - 1).limit(1)) is None


def is_held(object_id: ColumnElement[str], tenant_id: str) -> ColumnElement[bool]:
    """Return the condition that the removal of `object_id`, a person or a group, is held."""
    return exists().where(held_removals.c.tenant_id == tenant_id, held_removals.c.object_id == object_id)


def count_held(writer: Writer, stream: Stream) -> int:
    """Return how many removals of the stream are held."""
    query = select(func.count()).select_from(held_removals).where(_mine(writer, stream))
    count: int = writer.connection.execute(query).scalar_one()
    return count


def _removed_lately(writer: Writer, stream: Stream) -> int:
    """Return how many left within the last day and have not come back; what an operator agreed to does not count."""
    table = TABLES[stream]
    back = exists().where(table.c.tenant_id == writer.tenant_id, table.c.object_id == changes.c.object_id)
    query = select(func.count(distinct(changes.c.object_id))).where(
        changes.c.tenant_id == writer.tenant_id,
        changes.c.kind == REMOVED[stream],
        changes.c.at > writer.now - WINDOW,
        changes.c.reason.not_in(AGREED),
        ~back,
    )
    count: int = writer.connection.execute(query).scalar_one()
    return count


def _hold(writer: Writer, stream: Stream) -> int:
    """Return the open hold of the stream, a new one if there is none."""
    if writer.hold_id is not None:
        return writer.hold_id
    table, limit, lately = TABLES[stream], writer.removal_limit, _removed_lately(writer, stream)
    mine = table.c.tenant_id == writer.tenant_id
    book_size: int = writer.connection.execute(select(func.count()).select_from(table).where(mine)).scalar_one()
    allowed = max(limit.count, (book_size + lately) * limit.percent // 100)
    opened = insert(holds).values(
        tenant_id=writer.tenant_id,
        stream=stream,
        began_at=writer.now,
        mode=Mode.FULL if writer.full else Mode.INCREMENTAL,
        reason=writer.reason,
        book_size=book_size,
        removal_limit=allowed,
        removed_before=lately,
        last_number=0,
    )
    hold_id: int = writer.connection.execute(opened.returning(holds.c.hold_id)).scalar_one()
    _set_hold(writer, stream, hold_id)
    writer.counts.holds += 1
    log.error(
        "removals_held",
        tenant=writer.tenant_id,
        stream=stream,
        hold=hold_id,
        book=book_size,
        limit=allowed,
        advice="None of them is removed. Look at them and decide: entra-sms holds show",
    )
    return hold_id


def _set_hold(writer: Writer, stream: Stream, hold_id: int | None) -> None:
    mine = (streams.c.tenant_id == writer.tenant_id, streams.c.stream == stream)
    writer.connection.execute(update(streams).where(*mine).values(hold_id=hold_id))
    writer.hold_id = hold_id


def _last_number(writer: Writer, hold_id: int) -> int:
    last: int = writer.connection.execute(select(holds.c.last_number).where(holds.c.hold_id == hold_id)).scalar_one()
    return last


def _count_up(writer: Writer, stream: Stream, last_number: int, more: int) -> None:
    number = last_number + more
    writer.connection.execute(update(holds).where(holds.c.hold_id == writer.hold_id).values(last_number=number))
    held = count_held(writer, stream)
    log.warning("removals_wait", tenant=writer.tenant_id, stream=stream, held=held)
    if last_number == 0:
        results.note_hold(writer.connection, writer.tenant_id, stream, int(writer.hold_id or 0), held, writer.now)


def _forget_doubts(writer: Writer, stream: Stream, object_ids: Sequence[str]) -> None:
    """Who is said to be removed is no longer read himself: an old answer would let go of him."""
    for batch in batches(object_ids):
        noted = and_(rechecks.c.tenant_id == writer.tenant_id, rechecks.c.stream == stream)
        writer.connection.execute(delete(rechecks).where(noted, rechecks.c.object_id.in_(batch)))


def held_among(writer: Writer, stream: Stream, object_ids: Sequence[str]) -> set[str]:
    """Return those of `object_ids` whose removal is held."""
    found: set[str] = set()
    for batch in batches(object_ids):
        query = select(held_removals.c.object_id).where(_mine(writer, stream), held_removals.c.object_id.in_(batch))
        found.update(writer.connection.scalars(query))
    return found


def _mine(writer: Writer, stream: Stream) -> ColumnElement[bool]:
    return and_(held_removals.c.tenant_id == writer.tenant_id, held_removals.c.stream == stream)
