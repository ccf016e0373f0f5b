"""One worker's turn at one stream, under a lease: incremental rounds, full rounds, and reading single objects.

Each page is fetched with no transaction open; then its rows, the cursor and the change records are committed together,
fenced. So a crash at any instruction repeats a page and never skips one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.engine import RowMapping

from common.config import Settings
from common.db.engine import Database
from common.db.tables import groups, memberships, rechecks
from common.db.tenants import Tenant
from common.db.visible import is_visible
from common.errors import BadPageError, ResyncNeededError, RetryLaterError
from common.graph.answers import DoubtfulTokenError, GraphNotFoundError, PageTokenExpiredError
from common.graph.client import DeltaPage, GraphClient
from common.graph.resources import fingerprint
from common.messages import Reason, Stream
from worker import cursors
from worker.apply_groups import apply_edges, apply_groups, remove_edges, sweep_groups
from worker.apply_users import apply_users, sweep_users
from worker.book import Counts, Writer
from worker.leases import Lease, hold, set_values
from worker.mapping import Item, groups_of, member_of, users_of

GIVE_WAY_SECONDS = 1.0
RECHECKS_A_TURN = 50
RECHECK_AGAIN = timedelta(seconds=60)


@dataclass
class Turn:
    """What a turn works with, and what it has seen so far.

    `ends_at` is on `time.monotonic`; `somebody_waits` tells that requests for this stream have arrived meanwhile.
    """

    settings: Settings
    database: Database
    client: GraphClient
    tenant: Tenant
    lease: Lease
    reason: Reason
    ends_at: float
    somebody_waits: Callable[[], bool]
    stopping: Callable[[], bool]
    shown: set[str] = field(default_factory=set)
    """Ids that the pages of this turn named."""

    def state(self) -> RowMapping:
        """Return the stream's row, proving and prolonging the lease."""
        with self.database.write() as connection:
            return hold(self.database, connection, self.lease)

    def now(self) -> datetime:
        """Return the database's time now: what was asked for before it is answered by what begins now."""
        with self.database.read() as connection:
            return self.database.now(connection)

    def is_over(self) -> bool:
        return time.monotonic() >= self.ends_at or self.stopping()


def incremental_round(turn: Turn) -> bool:
    """Follow the live cursor to the next deltaLink; return False when the turn is over before that.

    A round that goes on where an earlier turn stopped began before this turn did, so another one follows it.
    """
    resumed = turn.state()["next_link"] is not None
    if not _follow_live_cursor(turn):
        return False
    return _follow_live_cursor(turn) if resumed else True


def full_slice(turn: Turn) -> bool:
    """Read pages of the full round until it ends (True), or the turn is over or somebody is to be served (False).

    Who waits for the stream, here or at another worker, waits for about `GIVE_WAY_SECONDS` at most; more often would
    cost the full round a request each time.
    """
    began = time.monotonic()
    row = turn.state()
    if row["full_began_at"] is None:
        with turn.database.write() as connection:
            row = hold(turn.database, connection, turn.lease)
            cursors.begin_full(connection, turn.lease.key, row, turn.database.now(connection))
    link: str | None = row["full_link"] if row["full_began_at"] is not None else None
    links: set[str] = set()
    while True:
        page = _fetch_full_page(turn, link)
        _refuse_loop(page, links)
        items = _items(turn, page)
        with turn.database.write() as connection:
            row = hold(turn.database, connection, turn.lease)
            _keep_full_page(turn, connection, row, page, items)
        if page.next_link is None:
            return True
        link = page.next_link
        waited_for = turn.somebody_waits() or row["wanted_at"] is not None
        if turn.is_over() or (waited_for and time.monotonic() - began >= GIVE_WAY_SECONDS):
            return False


def read_doubtful_objects(turn: Turn) -> None:
    """Read the objects of which a delta item said something ambiguous, and store what they say themselves."""
    for object_id, what in _due_rechecks(turn):
        if turn.is_over():
            return
        if what == "members":
            _reread_members(turn, object_id)
        else:
            _reread_object(turn, object_id)


def _due_rechecks(turn: Turn) -> list[tuple[str, str]]:
    """Take what is due; should reading it fail, it is due again a little later."""
    key = turn.lease.key
    with turn.database.write() as connection:
        hold(turn.database, connection, turn.lease)
        now = turn.database.now(connection)
        mine = (rechecks.c.tenant_id == key.tenant_id, rechecks.c.stream == key.stream, rechecks.c.due_at <= now)
        query = select(rechecks.c.object_id, rechecks.c.what).where(*mine).limit(RECHECKS_A_TURN)
        due = [(row.object_id, row.what) for row in connection.execute(query)]
        if due:
            connection.execute(update(rechecks).where(*mine).values(due_at=now + RECHECK_AGAIN))
        return due


def _follow_live_cursor(turn: Turn) -> bool:
    pages, counts = 0, Counts()
    row = turn.state()
    answered = list(row["waiting_request_ids"])
    link = row["next_link"] or row["delta_link"]
    began_at = turn.now()
    links: set[str] = set()
    while True:
        page = _fetch_live_page(turn, link)
        _refuse_loop(page, links)
        items = _items(turn, page)
        with turn.database.write() as connection:
            row = hold(turn.database, connection, turn.lease)
            writer = _writer(turn, connection, row, full=False)
            _apply(turn, writer, items)
            pages += 1
            counts.add(writer.counts)
            if page.delta_link is not None:
                cursors.end_incremental(
                    connection,
                    turn.lease.key,
                    row,
                    delta_link=page.delta_link,
                    reason=turn.reason,
                    began_at=began_at,
                    pages=pages,
                    counts=counts,
                    answered=answered,
                    poll_seconds=turn.settings.poll_seconds,
                    now=writer.now,
                )
            else:
                set_values(connection, turn.lease.key, {"next_link": page.next_link})
        turn.shown.update(item.object_id for item in items)
        if page.next_link is None:
            return True
        link = page.next_link
        if turn.is_over():
            return False


def _fetch_live_page(turn: Turn, link: str) -> DeltaPage:
    """Fetch a page of the live cursor; note what a dead token means before passing the error on."""
    try:
        return turn.client.page(link)
    except PageTokenExpiredError as error:
        if _forget_page(turn, link):
            raise RetryLaterError(f"{error} The round begins again from its deltaLink.", 0.0) from error
        _lose_live_cursor(turn)
        raise ResyncNeededError(str(error)) from error
    except DoubtfulTokenError as error:
        if turn.state()["last_error"] != str(error):
            raise  # once is chance
        if _forget_page(turn, link):
            raise
        _lose_live_cursor(turn)
        raise ResyncNeededError(str(error)) from error
    except ResyncNeededError:
        _lose_live_cursor(turn)
        raise


def _forget_page(turn: Turn, link: str) -> bool:
    """Go back to the deltaLink if `link` was a page after it; tell whether it was."""
    with turn.database.write() as connection:
        row = hold(turn.database, connection, turn.lease)
        if row["next_link"] != link:
            return False
        set_values(connection, turn.lease.key, {"next_link": None})
        return True


def _lose_live_cursor(turn: Turn) -> None:
    with turn.database.write() as connection:
        row = hold(turn.database, connection, turn.lease)
        cursors.lose_live_cursor(connection, turn.lease.key, row, turn.database.now(connection))


def _fetch_full_page(turn: Turn, link: str | None) -> DeltaPage:
    try:
        return turn.client.first_page(turn.lease.key.stream) if link is None else turn.client.page(link)
    except (PageTokenExpiredError, ResyncNeededError, DoubtfulTokenError) as error:
        if isinstance(error, DoubtfulTokenError) and turn.state()["last_error"] != str(error):
            raise
        with turn.database.write() as connection:
            row = hold(turn.database, connection, turn.lease)
            cursors.restart_full(connection, turn.lease.key, row, turn.database.now(connection))
        raise RetryLaterError(f"{error} The full round begins again.") from error


def _keep_full_page(
    turn: Turn, connection: Connection, row: RowMapping, page: DeltaPage, items: Sequence[Item]
) -> None:
    writer = _writer(turn, connection, row, full=True)
    _apply(turn, writer, items)
    key = turn.lease.key
    if page.next_link is not None:
        cursors.keep_full_page(connection, key, row, page.next_link, writer.counts)
        return
    if page.delta_link is None:
        raise BadPageError("A full round ends only with a deltaLink.")
    _sweep(turn, writer)
    shape = fingerprint(key.stream, turn.tenant.default_region)
    cursors.end_full(
        connection, key, row, delta_link=page.delta_link, counts=writer.counts, fingerprint=shape, now=writer.now
    )


def _reread_object(turn: Turn, object_id: str) -> None:
    stream = turn.lease.key.stream
    try:
        items = _mapped(stream, [turn.client.get(stream, object_id)])
    except GraphNotFoundError:
        items = []  # gone, or not there yet: delta will say which
    with turn.database.write() as connection:
        row = hold(turn.database, connection, turn.lease)
        _apply(turn, _writer(turn, connection, row, full=True), items)
        _done(turn, connection, object_id, "object")


def _reread_members(turn: Turn, group_id: str) -> None:
    """Make the visible memberships of a group say what its members list says.

    Edges to people and groups that are not in the book are left alone: the list does not show what is in the recycle
    bin, and its memberships come back with it.
    """
    try:
        listed = {edge.member_id: edge for edge in map(member_of, turn.client.members(group_id))}
    except GraphNotFoundError:
        listed = None
    with turn.database.write() as connection:
        row = hold(turn.database, connection, turn.lease)
        writer = _writer(turn, connection, row, full=False)
        if listed is not None and _has_group(connection, turn, group_id):
            surplus = [key for key in _visible_edges(connection, turn, group_id) if key[1] not in listed]
            remove_edges(writer, surplus)
            apply_edges(writer, {group_id: listed.values()})
        _done(turn, connection, group_id, "members")


def _has_group(connection: Connection, turn: Turn, group_id: str) -> bool:
    mine = (groups.c.tenant_id == turn.lease.key.tenant_id, groups.c.object_id == group_id)
    return connection.execute(select(groups.c.object_id).where(*mine)).first() is not None


def _visible_edges(connection: Connection, turn: Turn, group_id: str) -> list[tuple[str, str]]:
    mine = (memberships.c.tenant_id == turn.lease.key.tenant_id, memberships.c.group_id == group_id)
    query = select(memberships.c.group_id, memberships.c.member_id).where(*mine, is_visible())
    return [(row.group_id, row.member_id) for row in connection.execute(query)]


def _done(turn: Turn, connection: Connection, object_id: str, what: str) -> None:
    key = turn.lease.key
    mine = (rechecks.c.tenant_id == key.tenant_id, rechecks.c.stream == key.stream)
    connection.execute(delete(rechecks).where(*mine, rechecks.c.object_id == object_id, rechecks.c.what == what))


def _writer(turn: Turn, connection: Connection, row: RowMapping, *, full: bool) -> Writer:
    now = turn.database.now(connection)
    return Writer(
        database=turn.database,
        connection=connection,
        tenant_id=turn.lease.key.tenant_id,
        default_region=turn.tenant.default_region,
        generation=row["generation"],
        full=full,
        reason=Reason(row["full_reason"]) if full and row["full_reason"] else turn.reason,
        now=now,
        recheck_at=now + timedelta(seconds=turn.settings.follow_up_seconds[0]),
    )


def _items(turn: Turn, page: DeltaPage) -> list[Item]:
    return _mapped(turn.lease.key.stream, page.items)


def _mapped(stream: Stream, entries: Sequence[dict[str, object]]) -> list[Item]:
    return users_of(entries) if stream is Stream.USERS else groups_of(entries)


def _apply(turn: Turn, writer: Writer, items: Sequence[Item]) -> None:
    if turn.lease.key.stream is Stream.USERS:
        apply_users(writer, items)
    else:
        apply_groups(writer, items)


def _sweep(turn: Turn, writer: Writer) -> None:
    if turn.lease.key.stream is Stream.USERS:
        sweep_users(writer)
    else:
        sweep_groups(writer)


def _refuse_loop(page: DeltaPage, links: set[str]) -> None:
    if page.next_link is None:
        return
    if page.next_link in links:
        raise BadPageError("Graph repeats a nextLink: the round would never end.")
    links.add(page.next_link)
