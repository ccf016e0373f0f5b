"""How long changes and rounds are kept."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from common.db.tables import changes, rounds
from common.messages import Stream
from tests.support.bench import settings
from tests.support.book import Book, book, guid
from tests.support.pen import Pen, gone, person
from worker import retention
from worker.retention import Retention

ANNA, BEN = guid("anna"), guid("ben")


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


def days_ago(count: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=count)


def kept(contoso: Book) -> int:
    with contoso.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(changes)).scalar_one())


def test_what_is_older_than_the_setting_is_erased_and_nothing_else(contoso: Book) -> None:
    Pen(contoso, now=days_ago(401)).users(person(ANNA))
    Pen(contoso, now=days_ago(399)).users(gone(ANNA))
    Pen(contoso).users(person(BEN))

    Retention(settings(), contoso.database).erase()

    assert [entry[:2] for entry in Pen(contoso).feed()] == [("contact.removed", ANNA), ("contact.added", BEN)]


def test_it_is_erased_in_slices_until_nothing_old_is_left(contoso: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE", 4)
    Pen(contoso, now=days_ago(50)).users(*(person(guid(str(number))) for number in range(10)))
    Pen(contoso).users(person(ANNA))
    eraser = Retention(settings(changes_days=40), contoso.database)

    left = []
    for _ in range(4):
        eraser.erase()
        left.append(kept(contoso))

    assert left == [7, 3, 1, 1]


def test_the_latest_change_stays_so_that_numbers_go_on(contoso: Book) -> None:
    Pen(contoso, now=days_ago(500)).users(person(ANNA), person(BEN))

    Retention(settings(), contoso.database).erase()
    Pen(contoso).users(gone(ANNA))

    with contoso.database.read() as connection:
        assert list(connection.scalars(select(changes.c.sequence).order_by(changes.c.sequence))) == [2, 3]


def test_after_a_look_that_left_nothing_old_it_is_not_time_yet(contoso: Book) -> None:
    eraser = Retention(settings(), contoso.database)
    Pen(contoso).users(person(BEN))
    eraser.erase()
    Pen(contoso, now=days_ago(401)).users(person(ANNA))
    Pen(contoso).users(gone(BEN))

    eraser.erase()

    assert kept(contoso) == 3


def answered(contoso: Book) -> list[str]:
    with contoso.database.read() as connection:
        found = connection.scalars(select(rounds.c.request_ids).order_by(rounds.c.round_id))
        return [request_id for request_ids in found for request_id in request_ids]


def test_rounds_are_kept_for_their_days_and_the_latest_of_each_stream_longer(contoso: Book) -> None:
    contoso.round(Stream.USERS, "old", ended_at=days_ago(91))
    contoso.round(Stream.GROUPS, "old, and the latest of the groups", ended_at=days_ago(91))
    contoso.round(Stream.USERS, "young", ended_at=days_ago(89))
    contoso.round(Stream.USERS, "latest", ended_at=days_ago(0))

    Retention(settings(), contoso.database).erase()

    assert answered(contoso) == ["old, and the latest of the groups", "young", "latest"]


def test_rounds_are_erased_in_slices_until_nothing_old_is_left(contoso: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE", 4)
    for number in range(11):
        contoso.round(Stream.USERS, str(number), ended_at=days_ago(8))
    eraser = Retention(settings(history_days=7), contoso.database)

    left = []
    for _ in range(4):
        eraser.erase()
        left.append(len(answered(contoso)))

    assert left == [7, 3, 1, 1]
