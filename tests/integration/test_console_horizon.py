"""The horizon of the feed: what lies before it is complete, however transactions overlap, and it never stands still."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, text

from common.db.tables import changes, streams
from console.reads import horizon
from console.reads.horizon import Horizon
from tests.support.book import Book, book, guid


@pytest.fixture
def contoso(postgresql_url: str) -> Iterator[Book]:
    with book(postgresql_url) as made:
        yield made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horizon, "PATIENCE_SECONDS", 0.1)


def tell(connection: Connection, made: Book, count: int = 1, age: timedelta = timedelta()) -> list[int]:
    """Number some changes as a worker does; they are visible when the transaction is committed."""
    connection.execute(select(streams).where(streams.c.tenant_id == made.tenant_id).with_for_update())
    row: dict[str, Any] = {"tenant_id": made.tenant_id, "kind": "contact.removed", "object_id": guid("anna")}
    row |= {"at": made.database.now(connection) - age, "reason": "poll"}
    return list(connection.scalars(insert(changes).returning(changes.c.sequence), [row] * count))


@contextmanager
def other_tenant(made: Book) -> Iterator[Book]:
    with book(made.database.engine.url.render_as_string(hide_password=False), "Nordwind", None) as other:
        yield other


def find(made: Book, found: Horizon, after: int | None = None) -> int:
    with made.database.read() as connection:
        return found.find(connection, after)


def committed(made: Book, count: int = 1, age: timedelta = timedelta()) -> list[int]:
    with made.database.write() as connection:
        return tell(connection, made, count, age)


def test_before_the_first_change_it_is_zero_and_afterwards_the_last_number(contoso: Book) -> None:
    found = Horizon(contoso.database)
    assert find(contoso, found) == 0
    assert find(contoso, found, after=0) == 0
    assert find(contoso, found) == 0
    last = committed(contoso, 5)[-1]
    assert find(contoso, found) == last
    assert find(contoso, Horizon(contoso.database), after=2) == last


def test_in_sqlite_it_is_the_last_number_since_one_transaction_writes_at_a_time(sqlite_url: str) -> None:
    with book(sqlite_url) as made:
        numbers = committed(made, 3)
        with made.database.write() as connection:
            connection.execute(delete(changes).where(changes.c.sequence == numbers[1]))
        assert find(made, Horizon(made.database)) == numbers[-1]


@pytest.mark.parametrize("after", [None, 0])
def test_a_number_that_is_still_to_be_committed_holds_it_back_and_nothing_is_passed_over(
    contoso: Book, after: int | None
) -> None:
    found = Horizon(contoso.database)
    before = committed(contoso)[-1]
    with other_tenant(contoso) as nordwind:
        with nordwind.database.write() as open_:
            late = tell(open_, nordwind, 2)
            highest = committed(contoso)[-1]
            assert late[-1] < highest, "this test makes a gap"
            assert find(contoso, found, after) == before
            assert find(contoso, found, after) == before
        assert find(contoso, found, after) == highest


def test_it_goes_on_behind_numbers_that_are_given_up(contoso: Book) -> None:
    found = Horizon(contoso.database)
    before = committed(contoso)[-1]
    with contoso.database.engine.connect() as plain, plain.begin() as transaction:
        lost = tell(plain, contoso, 3)
        transaction.rollback()
    highest = committed(contoso)[-1]
    assert highest > lost[-1] > before
    assert find(contoso, found) == highest


def test_while_a_stranger_writes_it_follows_what_is_committed_without_a_gap(contoso: Book) -> None:
    found = Horizon(contoso.database)
    with contoso.database.engine.connect() as stranger, stranger.begin():
        stranger.execute(text("CREATE TEMPORARY TABLE somebody_elses (n int)"))
        for _ in range(3):
            last = committed(contoso, 2)[-1]
            assert find(contoso, found) == last


def test_a_gap_before_old_changes_holds_nothing_back_however_long_a_stranger_writes(contoso: Book) -> None:
    found = Horizon(contoso.database)
    with contoso.database.engine.connect() as stranger, stranger.begin():
        stranger.execute(text("CREATE TEMPORARY TABLE somebody_elses (n int)"))
        numbers = committed(contoso, 3, age=horizon.LATE + timedelta(seconds=1))
        fresh = committed(contoso, 3)
        with contoso.database.write() as connection:
            gone = changes.c.sequence.in_([numbers[1], fresh[1]])
            connection.execute(delete(changes).where(gone))
        assert find(contoso, found) == fresh[0]
    assert find(contoso, found) == fresh[-1]


def test_after_a_backup_was_restored_it_begins_anew(contoso: Book) -> None:
    found = Horizon(contoso.database)
    numbers = committed(contoso, 5)
    assert find(contoso, found) == numbers[-1]
    with contoso.database.write() as connection:
        connection.execute(delete(changes).where(changes.c.sequence > numbers[1]))
    assert find(contoso, found) == numbers[1]
