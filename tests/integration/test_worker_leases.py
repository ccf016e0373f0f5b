"""One reader a stream: who holds the lease, what a lost one can no longer do, and wishes that are never missed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.engine import RowMapping

from common.db import erasure
from common.db.engine import Database
from common.db.tables import changes, streams
from common.errors import LeaseLostError
from common.messages import Reason, Stream
from tests.support.book import Book, guid, lent_book
from tests.support.eventually import eventually
from tests.support.leases import acquire
from worker import cursors, leases
from worker.book import Counts
from worker.leases import NOTHING, Lease, StreamKey, Wishes


@pytest.fixture
def contoso(shared_database_url: str) -> Iterator[Book]:
    with lent_book(shared_database_url) as found:
        yield found


@pytest.fixture
def key(contoso: Book) -> StreamKey:
    return StreamKey(contoso.tenant_id, Stream.USERS)


def acquired(book: Book, holder: str = "one", wishes: Wishes = NOTHING) -> Lease | None:
    key = StreamKey(book.tenant_id, Stream.USERS)
    return acquire(book.database, key, holder, 60.0, wishes)


def lease_of(book: Book, holder: str = "one") -> Lease:
    lease = acquired(book, holder)
    assert lease is not None
    return lease


def row_of(book: Book) -> RowMapping:
    with book.database.read() as connection:
        mine = (streams.c.tenant_id == book.tenant_id, streams.c.stream == Stream.USERS)
        return connection.execute(select(streams).where(*mine)).mappings().one()


def now_of(book: Book) -> datetime:
    with book.database.read() as connection:
        return book.database.now(connection)


def expire(book: Book) -> None:
    book.stream(Stream.USERS, lease_until=now_of(book) - timedelta(seconds=1))


# Holding


def test_one_holds_and_the_other_leaves_word(contoso: Book) -> None:
    assert acquired(contoso, "one") is not None
    assert acquired(contoso, "two") is None
    assert row_of(contoso)["wanted_at"] is not None


def test_the_two_streams_of_a_tenant_have_their_own_leases(contoso: Book) -> None:
    lease_of(contoso)
    groups = StreamKey(contoso.tenant_id, Stream.GROUPS)
    assert acquire(contoso.database, groups, "two") is not None


def test_a_stream_of_no_tenant_cannot_be_held(contoso: Book) -> None:
    nobody = StreamKey(guid("nobody"), Stream.USERS)
    assert acquire(contoso.database, nobody, "one") is None


def test_a_released_lease_can_be_taken_by_anybody(contoso: Book) -> None:
    lease = lease_of(contoso)
    assert leases.release(contoso.database, lease, now_of(contoso))
    assert acquired(contoso, "two") is not None


def test_an_expired_lease_is_taken_over(contoso: Book) -> None:
    first = lease_of(contoso)
    expire(contoso)
    second = lease_of(contoso, "two")
    assert second.fence > first.fence


def test_a_lease_that_its_own_holder_could_not_let_go_of_is_its_own_again(contoso: Book) -> None:
    first = lease_of(contoso)
    assert lease_of(contoso).fence > first.fence


def test_every_transaction_under_a_lease_prolongs_it(contoso: Book) -> None:
    lease = lease_of(contoso)
    contoso.stream(Stream.USERS, lease_until=now_of(contoso) + timedelta(seconds=1))
    with contoso.database.write() as connection:
        leases.hold(contoso.database, connection, lease)
    assert row_of(contoso)["lease_until"] > now_of(contoso) + timedelta(seconds=50)


def test_an_expired_lease_that_nobody_took_over_is_still_good(contoso: Book) -> None:
    lease = lease_of(contoso)
    expire(contoso)
    with contoso.database.write() as connection:
        leases.hold(contoso.database, connection, lease)
    assert acquired(contoso, "two") is None


# Losing


def write_under(database: Database, lease: Lease, object_id: str) -> None:
    with database.write() as connection:
        leases.hold(database, connection, lease)
        said = {"tenant_id": lease.key.tenant_id, "at": database.now(connection), "kind": "contact.added"}
        connection.execute(changes.insert().values(**said, object_id=object_id, reason="poll"))


def test_a_lost_lease_can_commit_nothing(contoso: Book) -> None:
    old = lease_of(contoso)
    write_under(contoso.database, old, guid("before"))
    expire(contoso)
    new = lease_of(contoso, "two")
    write_under(contoso.database, new, guid("after"))
    with pytest.raises(LeaseLostError):
        write_under(contoso.database, old, guid("too late"))
    with contoso.database.read() as connection:
        written = set(connection.scalars(select(changes.c.object_id)))
    assert written == {guid("before"), guid("after")}


def test_a_holder_that_took_the_lease_anew_can_commit_nothing_under_the_old_one(contoso: Book) -> None:
    old, new = lease_of(contoso), lease_of(contoso)
    with pytest.raises(LeaseLostError):
        write_under(contoso.database, old, guid("too late"))
    write_under(contoso.database, new, guid("in time"))


def write_and_then_look(database: Database, lease: Lease) -> None:
    with database.write() as connection:
        said = {"tenant_id": lease.key.tenant_id, "at": database.now(connection), "kind": "contact.added"}
        connection.execute(changes.insert().values(**said, object_id=guid("early"), reason="poll"))
        leases.hold(database, connection, lease)


def test_what_was_written_before_the_loss_was_noticed_is_rolled_back(contoso: Book) -> None:
    old = lease_of(contoso)
    expire(contoso)
    lease_of(contoso, "two")
    with pytest.raises(LeaseLostError):
        write_and_then_look(contoso.database, old)
    with contoso.database.read() as connection:
        assert connection.execute(select(changes)).all() == []


@pytest.mark.parametrize("let_go", [lambda d, lease: leases.release(d, lease, datetime.now(UTC)), leases.abandon])
def test_a_lost_lease_cannot_be_let_go_of(contoso: Book, let_go: Callable[[Database, Lease], Any]) -> None:
    old = lease_of(contoso)
    expire(contoso)
    lease_of(contoso, "two")
    with pytest.raises(LeaseLostError):
        let_go(contoso.database, old)
    assert row_of(contoso)["lease_holder"] == "two"


def test_a_lease_on_a_tenant_that_was_removed_is_lost(contoso: Book) -> None:
    lease = lease_of(contoso)
    with contoso.database.write() as connection:
        erasure.erase(connection, contoso.tenant_id)
    with pytest.raises(LeaseLostError):
        write_under(contoso.database, lease, guid("nobody"))


# Wanted


def test_a_stream_wanted_during_the_round_is_not_let_go_of(contoso: Book) -> None:
    lease, began_at = lease_of(contoso), now_of(contoso)
    acquired(contoso, "two")
    assert not leases.release(contoso.database, lease, began_at)
    assert leases.release(contoso.database, lease, now_of(contoso))  # the next round began after that


def test_a_stream_wanted_before_the_round_began_is_answered_by_it(contoso: Book) -> None:
    lease = lease_of(contoso)
    acquired(contoso, "two")
    assert leases.release(contoso.database, lease, now_of(contoso))


def test_an_abandoned_stream_that_is_wanted_is_polled_soon(contoso: Book) -> None:
    lease = lease_of(contoso)
    acquired(contoso, "two")
    contoso.stream(Stream.USERS, next_poll_at=now_of(contoso) + timedelta(hours=1))
    leases.abandon(contoso.database, lease)
    row = row_of(contoso)
    assert row["next_poll_at"] < now_of(contoso) + timedelta(seconds=5)
    assert (row["lease_holder"], row["wanted_at"]) == (None, None)


def test_an_abandoned_stream_that_nobody_wants_keeps_its_poll(contoso: Book) -> None:
    lease = lease_of(contoso)
    contoso.stream(Stream.USERS, next_poll_at=now_of(contoso) + timedelta(hours=1))
    leases.abandon(contoso.database, lease)
    assert row_of(contoso)["next_poll_at"] > now_of(contoso) + timedelta(minutes=50)


def test_should_the_holder_die_the_wanted_stream_is_polled_when_its_lease_has_run_out(contoso: Book) -> None:
    contoso.stream(Stream.USERS, next_poll_at=now_of(contoso) + timedelta(hours=1))
    lease_of(contoso)
    acquired(contoso, "two")
    row = row_of(contoso)
    assert timedelta(0) < row["next_poll_at"] - row["lease_until"] < timedelta(seconds=5)


# Interleavings


class Pausing(Database):
    """Stops each transaction that has locked the stream's row right before its commit, until it may go on."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.engine)
        self.locked = threading.Event()
        self.may_go_on = threading.Event()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with super().write() as connection:
            yield connection
            self.locked.set()
            assert self.may_go_on.wait(30)


def started(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(work()))
    thread.start()
    return thread, result


def until_it_waits_for_the_lock(database: Database) -> None:
    if database.is_sqlite:
        return  # it tells nobody that it waits; whether it did shows in the outcome

    def is_waiting() -> bool:
        with database.engine.connect() as connection:
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            return bool(connection.exec_driver_sql(query).scalar_one())

    eventually(is_waiting)


def raced(first: Callable[[Database], Any], second: Callable[[Database], Any], database: Database) -> tuple[Any, Any]:
    """Let `second` begin while `first` has the stream's row; return both results."""
    pausing = Pausing(database)
    first_thread, first_result = started(lambda: first(pausing))
    assert pausing.locked.wait(30)
    second_thread, second_result = started(lambda: second(database))
    until_it_waits_for_the_lock(database)
    assert second_result == []
    pausing.may_go_on.set()
    for thread in (first_thread, second_thread):
        thread.join(60)
    return first_result[0], second_result[0]


def test_word_left_while_the_holder_is_letting_go_is_read_by_it(contoso: Book, key: StreamKey) -> None:
    lease, began_at = lease_of(contoso), now_of(contoso)
    left, let_go = raced(
        lambda database: acquire(database, key, "two"),
        lambda database: leases.release(database, lease, began_at),
        contoso.database,
    )
    assert (left, let_go) == (None, False)


def test_who_comes_while_the_lease_is_let_go_of_gets_it(contoso: Book, key: StreamKey) -> None:
    lease, began_at = lease_of(contoso), now_of(contoso)
    let_go, taken = raced(
        lambda database: leases.release(database, lease, began_at),
        lambda database: acquire(database, key, "two"),
        contoso.database,
    )
    assert let_go
    assert taken is not None


def test_of_two_that_come_at_once_one_gets_the_lease_and_the_other_leaves_word(contoso: Book, key: StreamKey) -> None:
    first, second = raced(
        lambda database: acquire(database, key, "one"),
        lambda database: acquire(database, key, "two"),
        contoso.database,
    )
    assert first is not None
    assert second is None
    assert row_of(contoso)["wanted_at"] is not None


def test_a_takeover_waits_for_the_transaction_of_the_old_holder(contoso: Book, key: StreamKey) -> None:
    old = lease_of(contoso)
    expire(contoso)

    def write(database: Database) -> str:
        write_under(database, old, guid("just in time"))
        return "committed"

    outcome, taken = raced(write, lambda database: acquire(database, key, "two"), contoso.database)
    assert outcome == "committed"
    assert taken is None  # the transaction prolonged the lease before the other could look


def test_many_who_ask_at_once_never_hold_together(contoso: Book, key: StreamKey) -> None:
    holding: list[str] = []
    together: list[int] = []
    barrier = threading.Barrier(4)

    def turns(holder: str) -> int:
        answered = 0
        barrier.wait(30)
        for _ in range(10):
            lease = acquire(contoso.database, key, holder)
            if lease is None:
                continue
            holding.append(holder)
            together.append(len(holding))
            answered += 1
            holding.remove(holder)
            while not leases.release(contoso.database, lease, now_of(contoso)):
                answered += 1
        return answered

    runs = [started(lambda name=name: turns(name)) for name in ("a", "b", "c", "d")]
    for thread, _ in runs:
        thread.join(60)
    assert sum(result[0] for _, result in runs) >= 1
    assert set(together) == {1}
    assert row_of(contoso)["lease_holder"] is None


# Wishes


def full(requested_at: datetime, *request_ids: str) -> Wishes:
    return Wishes(Reason.OPERATOR, requested_at, request_ids)


def begin_full(book: Book, lease: Lease) -> None:
    with book.database.write() as connection:
        row = leases.hold(book.database, connection, lease)
        now = book.database.now(connection)
        cursors.want_full(connection, lease.key, row, Reason.FIRST_SYNC, now)
        row = leases.hold(book.database, connection, lease)
        cursors.begin_full(connection, lease.key, row, "f", now)


def end_full(book: Book, lease: Lease) -> None:
    with book.database.write() as connection:
        row = leases.hold(book.database, connection, lease)
        now = book.database.now(connection)
        cursors.end_full(connection, lease.key, row, delta_link="https://x", counts=Counts(), now=now)


def test_a_wish_is_kept_whoever_holds_the_lease(contoso: Book) -> None:
    lease_of(contoso)
    acquired(contoso, "two", full(now_of(contoso), "r1"))
    row = row_of(contoso)
    assert (row["full_wanted_reason"], row["full_wanted_request_ids"]) == ("operator", ["r1"])


def test_commands_for_a_look_wait_in_the_row_once_each(contoso: Book) -> None:
    acquired(contoso, "one", Wishes(request_ids=("r1", "r2")))
    acquired(contoso, "two", Wishes(request_ids=("r2", "r3")))
    assert row_of(contoso)["waiting_request_ids"] == ["r1", "r2", "r3"]


def test_two_wishes_for_a_full_round_are_one(contoso: Book) -> None:
    acquired(contoso, "one", full(now_of(contoso), "r1"))
    acquired(contoso, "one", full(now_of(contoso), "r2"))
    assert row_of(contoso)["full_wanted_request_ids"] == ["r1", "r2"]


def test_a_full_round_asked_for_during_the_first_sync_is_answered_by_it(contoso: Book) -> None:
    lease = lease_of(contoso)
    begin_full(contoso, lease)
    acquired(contoso, "two", full(now_of(contoso), "r1"))
    row = row_of(contoso)
    assert (row["full_request_ids"], row["full_wanted_at"]) == (["r1"], None)


def test_a_full_round_asked_for_before_the_running_one_began_is_answered_by_it(contoso: Book) -> None:
    contoso.stream(Stream.USERS, delta_link="https://live")
    lease, asked_at = lease_of(contoso), now_of(contoso)
    begin_full(contoso, lease)
    acquired(contoso, "two", full(asked_at, "r1"))
    row = row_of(contoso)
    assert (row["full_request_ids"], row["full_wanted_at"]) == (["r1"], None)


def test_a_full_round_asked_for_after_the_running_one_began_is_another_one(contoso: Book) -> None:
    contoso.stream(Stream.USERS, delta_link="https://live")
    begin_full(contoso, lease_of(contoso))
    acquired(contoso, "two", full(now_of(contoso), "r1"))
    row = row_of(contoso)
    assert (row["full_request_ids"], row["full_wanted_request_ids"]) == ([], ["r1"])
    assert row["full_wanted_at"] is not None


def test_a_full_round_asked_for_once_is_not_read_again_when_the_request_is_delivered_again(contoso: Book) -> None:
    lease, asked_at = lease_of(contoso), now_of(contoso)
    begin_full(contoso, lease)
    end_full(contoso, lease)
    acquired(contoso, "one", full(asked_at, "r1"))
    assert row_of(contoso)["full_wanted_at"] is None


def test_a_full_round_that_ended_before_its_request_was_met_answers_it_by_the_next_look(contoso: Book) -> None:
    contoso.stream(Stream.USERS, delta_link="https://live", generation=4)
    lease, asked_at = lease_of(contoso), now_of(contoso)
    begin_full(contoso, lease)
    end_full(contoso, lease)
    acquired(contoso, "one", full(asked_at, "r1"))
    row = row_of(contoso)
    assert (row["waiting_request_ids"], row["full_wanted_at"]) == (["r1"], None)


def test_a_full_round_asked_for_during_the_first_sync_but_met_after_it_is_not_read_again(contoso: Book) -> None:
    lease = lease_of(contoso)
    begin_full(contoso, lease)
    asked_at = now_of(contoso)
    end_full(contoso, lease)
    acquired(contoso, "one", full(asked_at, "r1"))
    row = row_of(contoso)
    assert (row["waiting_request_ids"], row["full_wanted_at"]) == (["r1"], None)


def test_a_full_round_asked_for_after_the_last_one_ended_is_wanted(contoso: Book) -> None:
    lease = lease_of(contoso)
    begin_full(contoso, lease)
    end_full(contoso, lease)
    acquired(contoso, "one", full(now_of(contoso), "r1"))
    assert row_of(contoso)["full_wanted_at"] is not None


def test_requests_that_wish_for_nothing_note_nothing(contoso: Book) -> None:
    before = row_of(contoso)
    acquired(contoso)
    after = row_of(contoso)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"lease_holder", "lease_fence", "lease_until"}
