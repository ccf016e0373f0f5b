"""Ask, do not guess: objects of which a delta item said something ambiguous are read themselves.

They are noted in table `rechecks` by the transaction that met them, and read a little later, since Graph's reads lag
behind its writes like its delta does. No object may hold up the others, or the rounds: what is malformed here as well
stays as the book has it, and is read again when delta next names it, at the latest in the next full round.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, tuple_, update

from common import logging
from common.db.tables import groups, memberships, rechecks
from common.db.visible import is_visible
from common.errors import BadPageError
from common.graph.answers import GraphNotFoundError, GraphRefusedError, GraphUnavailableError
from common.graph.client import LIST_PAGE
from common.messages import Reason, Stream
from worker import cursors, ledger, metrics, reach
from worker.apply_groups import apply_edges, remove_edges
from worker.apply_users import leave_scope
from worker.book import Counts, Writer
from worker.leases import hold
from worker.ledger import Part
from worker.mapping import Edge, Item, MalformedError, member_of, object_id_of
from worker.removal_guard import is_held
from worker.turn import Turn

RECHECKS_A_TURN = 50
UNKNOWN = "Graph shows nothing of it now; if it was removed, delta says so."
RECHECK_AGAIN = timedelta(seconds=60)

log = logging.get("rechecks")


def read_doubtful_objects(turn: Turn) -> bool:
    """Read the objects of which a delta item said something ambiguous, and store what they say themselves.

    Returns:
        Whether there were too many for that: a full round is wanted now.
    """
    are_too_many = False
    due = _due_rechecks(turn)
    for number, (object_id, what) in enumerate(due):
        if turn.is_over():
            _give_back(turn, due[number:])
            break
        try:
            if what == "scope":
                are_too_many = _follow_scope(turn)
            elif what == "members":
                _reread_members(turn, object_id)
            else:
                _reread_object(turn, object_id)
        except (BadPageError, GraphRefusedError) as error:
            log.warning("recheck_failed", **_names(turn, object_id), what=what, error=str(error))
            with turn.database.write() as connection:
                hold(turn.database, connection, turn.lease)
                _answer(connection, turn, object_id, turn.database.now(connection), error=str(error))
        except GraphUnavailableError:
            _give_back(turn, due[number + 1 :])
            raise
    return are_too_many


def _due_rechecks(turn: Turn) -> list[tuple[str, str]]:
    """Take what is due; should reading it fail, it is due again a little later."""
    key = turn.lease.key
    with turn.database.write() as connection:
        hold(turn.database, connection, turn.lease)
        now = turn.database.now(connection)
        mine = (rechecks.c.tenant_id == key.tenant_id, rechecks.c.stream == key.stream, rechecks.c.due_at <= now)
        # The scope asks Graph nothing, so it waits for nobody; an object comes before its members.
        in_order = (rechecks.c.what != "scope", rechecks.c.due_at, rechecks.c.object_id, rechecks.c.what.desc())
        query = select(rechecks.c.object_id, rechecks.c.what).where(*mine).order_by(*in_order).limit(RECHECKS_A_TURN)
        due = [(row.object_id, row.what) for row in connection.execute(query)]
        if due:
            taken = rechecks.c.object_id.in_([object_id for object_id, _ in due])
            connection.execute(update(rechecks).where(*mine, taken).values(due_at=now + RECHECK_AGAIN))
        return due


def _give_back(turn: Turn, untried: Collection[tuple[str, str]]) -> None:
    """Have what was taken and not tried come before what was: an object that never answers keeps nobody waiting."""
    key = turn.lease.key
    with turn.database.write() as connection:
        hold(turn.database, connection, turn.lease)
        mine = (rechecks.c.tenant_id == key.tenant_id, rechecks.c.stream == key.stream)
        these = tuple_(rechecks.c.object_id, rechecks.c.what).in_(untried)
        connection.execute(update(rechecks).where(*mine, these).values(due_at=turn.database.now(connection)))


def _follow_scope(turn: Turn) -> bool:
    """Have those read whom the groups of the scope reach now, and let those leave whom none reaches any longer.

    Returns:
        Whether they are so many that a full round is wanted.
    """
    with turn.database.write() as connection:
        row = hold(turn.database, connection, turn.lease)
        writer = turn.writer(connection, row, full=False, reason=Reason.OUT_OF_SCOPE)
        reach.forget_mark(connection, writer.tenant_id)  # first: what is marked from here on is followed once more
        entering: list[str] = []
        if row["fingerprint"] == turn.shape:  # else a full round is about to begin, and looks at everybody
            entering = reach.entering(writer)
            leave_scope(writer, reach.leaving(writer))
        reach.renew(connection, writer.tenant_id, writer.scope)
        are_too_many = len(entering) > reach.READS_LIMIT
        if are_too_many:
            cursors.want_full(connection, turn.lease.key, row, Reason.RECHECK, writer.now)
        else:
            writer.recheck(Stream.USERS, "object", entering)
    metrics.count_changes(Stream.USERS, writer.counts)
    return are_too_many


def _reread_object(turn: Turn, object_id: str) -> None:
    stream = turn.lease.key.stream
    items = _read_object(turn, object_id)
    with turn.database.write() as connection:
        row = hold(turn.database, connection, turn.lease)
        writer = turn.writer(connection, row, full=True, reason=Reason.RECHECK)
        if items and stream is Stream.GROUPS and not _has_group(connection, turn, object_id):
            writer.recheck(Stream.GROUPS, "members", [object_id])  # as for every group that appears between full rounds
        turn.apply(writer, items)
        _done(turn, writer, object_id, "object")
        if stream is Stream.USERS:
            _answer(connection, turn, object_id, writer.now, counts=writer.counts, note=None if items else UNKNOWN)
    metrics.count_changes(turn.lease.key.stream, writer.counts)


def _read_object(turn: Turn, object_id: str) -> list[Item]:
    """Return what the object says of itself: one item, or none when there is nothing to store."""
    try:
        entry = turn.client.get(turn.lease.key.stream, object_id)
    except GraphNotFoundError:
        return []  # gone, or not there yet: delta will say which
    if object_id_of(entry) != object_id:
        raise BadPageError("Graph answered with another object than the one that was asked for.")
    [item] = turn.items_of([entry])
    if item.malformed:
        log.warning("object_malformed", **_names(turn, object_id), property=item.malformed)
        return []
    return [item]


def _reread_members(turn: Turn, group_id: str) -> None:
    """Make the visible memberships of a group say what its members list says.

    Edges to people and groups that are not in the book, or whose removal is held, are left alone: the list does not
    show what is in the recycle bin, and its memberships come back with it.
    """
    listed: dict[str, Edge] = {}
    there = True
    try:
        for number, entry in enumerate(turn.client.members(group_id)):
            if number % LIST_PAGE == 0:
                turn.state()  # a list of many pages must not outlast the lease
                if turn.stopping():
                    return
            edge = member_of(entry)
            listed[edge.member_id] = edge
    except GraphNotFoundError:
        there = False
    except MalformedError as error:
        log.warning("object_malformed", **_names(turn, group_id), property=str(error))
        there = False
    with turn.database.write() as connection:
        row = hold(turn.database, connection, turn.lease)
        writer = turn.writer(connection, row, full=False, reason=Reason.RECHECK)
        if there and _has_group(connection, turn, group_id):
            surplus = [key for key in _settled_edges(connection, turn, group_id) if key[1] not in listed]
            remove_edges(writer, surplus)
            apply_edges(writer, {group_id: listed.values()})
        _done(turn, writer, group_id, "members")
        note = None if there else UNKNOWN
        _answer(connection, turn, group_id, writer.now, counts=writer.counts, note=note)
    metrics.count_changes(turn.lease.key.stream, writer.counts)


def _has_group(connection: Connection, turn: Turn, group_id: str) -> bool:
    mine = (groups.c.tenant_id == turn.lease.key.tenant_id, groups.c.object_id == group_id)
    return connection.execute(select(groups.c.object_id).where(*mine)).first() is not None


def _settled_edges(connection: Connection, turn: Turn, group_id: str) -> list[tuple[str, str]]:
    mine = (memberships.c.tenant_id == turn.lease.key.tenant_id, memberships.c.group_id == group_id)
    query = select(memberships.c.group_id, memberships.c.member_id).where(
        *mine, is_visible(), ~is_held(memberships.c.member_id, turn.lease.key.tenant_id)
    )
    return [(row.group_id, row.member_id) for row in connection.execute(query)]


def _done(turn: Turn, writer: Writer, object_id: str, what: str) -> None:
    """Forget what was read; what altered the book is read once more.

    The read may have been older than what delta had told by then, and have undone it.
    """
    key = turn.lease.key
    if writer.counts.altered:
        writer.recheck(key.stream, what, [object_id])
        return
    mine = (rechecks.c.tenant_id == key.tenant_id, rechecks.c.stream == key.stream)
    writer.connection.execute(delete(rechecks).where(*mine, rechecks.c.object_id == object_id, rechecks.c.what == what))


def _answer(
    connection: Connection,
    turn: Turn,
    object_id: str,
    now: datetime,
    *,
    counts: Counts | None = None,
    error: str | None = None,
    note: str | None = None,
) -> None:
    """Answer the commands that asked for this object; a group is read when its members are."""
    key = turn.lease.key
    asked = ledger.waiting_for_object(connection, key.tenant_id, Part(key.stream), object_id)
    total = counts.totals if counts is not None else None
    ledger.answer(connection, asked, key.tenant_id, key.stream, now, error=error, note=note, counts=total)


def _names(turn: Turn, object_id: str) -> dict[str, str]:
    """Return what a line of the log says of an object: whose it is and its id."""
    return {"tenant": turn.lease.key.tenant_id, "stream": turn.lease.key.stream, "object_id": object_id}
