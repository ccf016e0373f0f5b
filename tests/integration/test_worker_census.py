"""What the database says about all tenants together, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from common.db.tenants import TenantState
from common.messages import Stream
from tests.support.book import Book, add_tenant, guid, lent_book
from tests.support.pen import Pen, person
from worker import census
from worker.census import Census

HOUR = timedelta(hours=1)


@pytest.fixture
def first(shared_database_url: str) -> Iterator[Book]:
    with lent_book(shared_database_url) as book:
        yield book


@pytest.fixture
def second(first: Book) -> Book:
    """Another tenant in the same database."""
    with first.database.write() as connection:
        return Book(first.database, add_tenant(connection, "Fabrikam", "fabrikam.example"))


def taken(book: Book, *, wants_subscriptions: bool = True, publishes_events: bool = True) -> Census:
    return census.take(book.database, wants_subscriptions=wants_subscriptions, publishes_events=publishes_events)


def ago(duration: timedelta) -> datetime:
    return datetime.now(UTC) - duration


def ahead(duration: timedelta) -> datetime:
    return datetime.now(UTC) + duration


def test_without_tenants_everything_is_zero_or_unknown(shared_database_url: str) -> None:
    with lent_book(shared_database_url) as book:
        with book.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM tenants")
        found = taken(book)
    assert set(found.tenants.values()) == {0}
    assert set(found.tenants) == set(TenantState)
    assert set(found.subscriptions.values()) == {0}
    assert {one.round_age_seconds for one in found.streams.values()} == {0.0}
    assert found.subscription_remaining_seconds is None
    assert found.credential_remaining_seconds is None


def test_tenants_are_counted_by_state_and_those_whom_graph_holds_off_too(first: Book, second: Book) -> None:
    second.tenant(state=TenantState.ACCESS_FAILED, throttled_until=ahead(HOUR))
    first.tenant(throttled_until=ago(HOUR))
    found = taken(first)
    assert found.tenants == {"active": 1, "paused": 0, "access_failed": 1}
    assert found.tenants_throttled == 1


def test_the_age_is_that_of_the_worst_stream_of_an_active_tenant(first: Book, second: Book) -> None:
    first.stream(Stream.USERS, last_good_at=ago(HOUR))
    first.stream(Stream.GROUPS, last_good_at=ago(0 * HOUR))
    second.stream(Stream.USERS, last_good_at=ago(2 * HOUR))
    second.stream(Stream.GROUPS, last_good_at=ago(0 * HOUR))
    found = taken(first)
    assert found.streams[Stream.USERS].round_age_seconds == pytest.approx(7200, abs=60)
    assert found.streams[Stream.GROUPS].round_age_seconds == pytest.approx(0, abs=60)
    second.tenant(state=TenantState.PAUSED)
    assert taken(first).streams[Stream.USERS].round_age_seconds == pytest.approx(3600, abs=60)


def test_who_was_never_read_has_the_age_of_the_tenant_until_the_first_sync_begins(first: Book) -> None:
    first.tenant(created_at=ago(3 * HOUR))
    assert taken(first).streams[Stream.USERS].round_age_seconds == pytest.approx(10_800, abs=60)
    first.stream(Stream.USERS, full_began_at=ago(HOUR))
    users = taken(first).streams[Stream.USERS]
    assert users.round_age_seconds == 0
    assert (users.full_rounds_running, users.full_round_age_seconds) == (1, pytest.approx(3600, abs=60))


def test_a_full_round_beside_the_live_cursor_hides_no_age(first: Book) -> None:
    first.stream(Stream.USERS, last_good_at=ago(2 * HOUR), full_began_at=ago(HOUR))
    assert taken(first).streams[Stream.USERS].round_age_seconds == pytest.approx(7200, abs=60)


def test_failing_streams_are_counted(first: Book, second: Book) -> None:
    first.stream(Stream.USERS, failures=3)
    second.stream(Stream.USERS, failures=1)
    found = taken(first)
    assert found.streams[Stream.USERS].streams_failing == 2
    assert found.streams[Stream.GROUPS].streams_failing == 0


def test_subscriptions_are_working_missing_or_expired(first: Book, second: Book) -> None:
    first.subscription(Stream.USERS, guid("one"), ahead(5 * HOUR))
    first.subscription(Stream.GROUPS, guid("two"), ahead(3 * HOUR))
    second.subscription(Stream.USERS, guid("three"), ago(HOUR))
    found = taken(first)
    assert found.subscriptions == {"working": 2, "missing": 1, "expired": 1}
    assert found.subscription_remaining_seconds == pytest.approx(10_800, abs=60)


def test_nobody_misses_subscriptions_of_a_paused_tenant_or_without_a_public_address(first: Book, second: Book) -> None:
    second.tenant(state=TenantState.PAUSED)
    assert taken(first).subscriptions == {"working": 0, "missing": 2, "expired": 0}
    assert set(taken(first, wants_subscriptions=False).subscriptions.values()) == {0}


def test_holds_and_held_removals_are_counted_whatever_the_state(first: Book, second: Book) -> None:
    first.hold(Stream.USERS, *(guid(name) for name in "abc"))
    second.hold(Stream.USERS, guid("a"))
    first.hold(Stream.GROUPS, ended=True)
    second.tenant(state=TenantState.PAUSED)
    found = taken(first).streams
    assert (found[Stream.USERS].holds_open, found[Stream.USERS].removals_held) == (2, 4)
    assert (found[Stream.GROUPS].holds_open, found[Stream.GROUPS].removals_held) == (0, 0)


def test_the_credential_that_expires_first_counts(first: Book, second: Book) -> None:
    first.tenant(credential_expires_at=ahead(48 * HOUR))
    assert taken(first).credential_remaining_seconds == pytest.approx(48 * 3600, abs=60)
    second.tenant(credential_expires_at=ago(HOUR))
    assert taken(first).credential_remaining_seconds == pytest.approx(-3600, abs=60)
    second.tenant(state=TenantState.ACCESS_FAILED)
    assert taken(first).credential_remaining_seconds == pytest.approx(-3600, abs=60)


def test_changes_that_wait_to_be_published_are_counted_where_events_are_wanted(first: Book, second: Book) -> None:
    assert (taken(first).events_unpublished, taken(first).event_age_seconds) == (0, 0.0)
    Pen(first).users(person(guid("anna")))
    Pen(first, publishes=True, now=ago(2 * HOUR)).users(person(guid("ben")))
    Pen(second, publishes=True, now=ago(HOUR)).users(person(guid("carl")))

    found = taken(first)

    assert found.events_unpublished == 2
    assert found.event_age_seconds == pytest.approx(2 * 3600, abs=60)
    assert taken(first, publishes_events=False).events_unpublished == 0
