"""The rounds of a stream: the incremental one from its live cursor, and the full one beside it.

No transaction waits for a page: its rows, the cursor and the change records are committed together, fenced, when it is
there. So a crash at any instruction repeats a page and never skips one. While a page of a full round is written the
next one is fetched already, on another thread (`worker.ahead`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from common.errors import BadPageError, ResyncNeededError, RetryLaterError
from common.graph.answers import DoubtfulTokenError, PageTokenExpiredError
from common.graph.client import LOOP, DeltaPage
from common.messages import Mode
from worker import cursors, metrics
from worker.ahead import Ahead
from worker.book import Counts, Writer
from worker.leases import Look, hold, set_values
from worker.mapping import Item
from worker.turn import Turn

GIVE_WAY_SECONDS = 1.0

FullPage = tuple[DeltaPage, list[Item]]
"""A page, and what it says."""


def incremental_round(turn: Turn, begun: Look) -> bool:
    """Follow the live cursor from `begun` to the next deltaLink; return False when the turn is over before that.

    A round that goes on where an earlier turn stopped began before this turn did, so another one follows it. The
    transaction in which the round ends lets go of the lease as well, if nothing is left to do (`Turn.has_let_go`).
    """
    with metrics.failed_rounds(turn.lease.key.stream, Mode.INCREMENTAL):
        resumed = begun.row["next_link"] is not None
        if not _follow_live_cursor(turn, begun, is_last=not resumed):
            return False
        return _follow_live_cursor(turn, turn.look(), is_last=True) if resumed else True


def full_slice(turn: Turn) -> bool:
    """Read pages of the full round until it ends (True), or the turn is over or somebody is to be served (False).

    Who waits for the stream, here or at another worker, waits for about `GIVE_WAY_SECONDS` at most; more often would
    cost the full round a request each time.
    """
    with metrics.failed_rounds(turn.lease.key.stream, Mode.FULL):
        return _read_full_pages(turn)


def _read_full_pages(turn: Turn) -> bool:
    began = time.monotonic()
    row = turn.state()
    if row["full_began_at"] is None:
        with turn.database.write() as connection:
            row = hold(turn.database, connection, turn.lease)
            cursors.begin_full(connection, turn.lease.key, row, turn.shape, turn.database.now(connection))
    link: str | None = row["full_link"] if row["full_began_at"] is not None else None
    links: set[str] = set()
    ahead = Ahead(turn.executor, partial(_full_page, turn))
    while True:
        page, items = _fetch_full_page(turn, ahead, link)
        if page.next_link in links:
            _restart_full(turn)
            raise BadPageError(LOOP)
        links.add(page.next_link or "")
        if page.next_link is not None and not turn.is_over():
            ahead.begin(page.next_link)
        with turn.database.write() as connection:
            row = hold(turn.database, connection, turn.lease)
            writer = _keep_full_page(turn, connection, row, page, items)
        metrics.count_page(turn.lease.key.stream, Mode.FULL, writer.counts)
        if page.next_link is None:
            metrics.count_round(turn.lease.key.stream, Mode.FULL, (writer.now - row["full_began_at"]).total_seconds())
            return True
        link = page.next_link
        waited_for = turn.somebody_waits() or row["wanted_at"] is not None
        if turn.is_over() or (waited_for and time.monotonic() - began >= GIVE_WAY_SECONDS):
            return False


def _follow_live_cursor(turn: Turn, begun: Look, *, is_last: bool) -> bool:
    pages, counts = 0, Counts()
    row, began_at = begun.row, begun.at
    # A round that goes on from an earlier turn began before what is asked now, and answers nobody.
    answered = [] if row["next_link"] else list(row["waiting_request_ids"])
    notified_at = None if row["next_link"] else turn.notified_at
    link = row["next_link"] or row["delta_link"]
    lets_go = False
    links: set[str] = set()
    while True:
        page = _fetch_live_page(turn, link)
        if page.next_link in links:
            _forget_page(turn, link)
            raise BadPageError(LOOP)
        links.add(page.next_link or "")
        items = turn.items_of(page.items)
        with turn.database.write() as connection:
            row = hold(turn.database, connection, turn.lease)
            writer = turn.writer(connection, row, full=False)
            turn.apply(writer, items)
            pages += 1
            counts.add(writer.counts)
            if page.delta_link is not None:
                lets_go = cursors.end_incremental(
                    connection,
                    turn.lease.key,
                    row,
                    delta_link=page.delta_link,
                    reason=turn.reason,
                    began_at=began_at,
                    pages=pages,
                    counts=counts,
                    answered=answered,
                    notified_at=notified_at,
                    poll_seconds=turn.settings.poll_seconds,
                    now=writer.now,
                    asked_before=turn.began_at if is_last else None,
                )
            else:
                set_values(connection, turn.lease.key, {"next_link": page.next_link})
        turn.has_let_go = lets_go
        metrics.count_page(turn.lease.key.stream, Mode.INCREMENTAL, writer.counts)
        turn.shown.update(item.object_id for item in items)
        if page.next_link is None:
            metrics.count_round(turn.lease.key.stream, Mode.INCREMENTAL, (writer.now - began_at).total_seconds())
            if notified_at is not None:
                turn.notified_at = None  # answered: what this turn finds later is no answer to it
                metrics.count_lag(turn.lease.key.stream, counts, (writer.now - notified_at).total_seconds())
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


def _full_page(turn: Turn, link: str | None) -> FullPage:
    page = turn.client.first_page(turn.lease.key.stream) if link is None else turn.client.page(link)
    return page, turn.items_of(page.items)


def _fetch_full_page(turn: Turn, ahead: Ahead[FullPage], link: str | None) -> FullPage:
    try:
        return ahead.take(link)
    except (PageTokenExpiredError, ResyncNeededError, DoubtfulTokenError) as error:
        if isinstance(error, DoubtfulTokenError) and turn.state()["last_error"] != str(error):
            raise
        _restart_full(turn)
        raise RetryLaterError(f"{error} The full round begins again.") from error


def _restart_full(turn: Turn) -> None:
    with turn.database.write() as connection:
        row = hold(turn.database, connection, turn.lease)
        cursors.restart_full(connection, turn.lease.key, row, turn.database.now(connection))


def _keep_full_page(
    turn: Turn, connection: Connection, row: RowMapping, page: DeltaPage, items: Sequence[Item]
) -> Writer:
    writer = turn.writer(connection, row, full=True)
    turn.apply(writer, items)
    key = turn.lease.key
    if page.next_link is not None:
        cursors.keep_full_page(connection, key, row, page.next_link, writer.counts)
        return writer
    if page.delta_link is None:
        raise BadPageError("A full round ends only with a deltaLink.")
    turn.sweep(writer)
    cursors.end_full(connection, key, row, delta_link=page.delta_link, counts=writer.counts, now=writer.now)
    return writer
