"""`entra-sms tenants pause` and `resume`: the row that workers follow, and what is said of it, with no RabbitMQ."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from common.db import tenants
from common.db.tables import streams
from common.db.tenants import Tenant, TenantState
from common.messages import Stream
from tests.support.book import Book, book
from tests.support.console import EntraSms

NOBODY = "amqp://guest:password-of-the-broker@127.0.0.1:1/%2F"


@pytest.fixture
def nordwind(database_url: str) -> Iterator[Book]:
    with book(database_url, "Nord Wind", "nordwind.example") as made:
        yield made


@pytest.fixture
def entra_sms(database_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url, "amqp_url": NOBODY})


def stored(made: Book) -> Tenant:
    with made.database.read() as connection:
        found = tenants.get(connection, made.tenant_id)
    assert found is not None
    return found


def due_at(made: Book) -> set[datetime]:
    with made.database.read() as connection:
        return set(connection.scalars(select(streams.c.next_poll_at)))


def test_a_pause_takes_effect_in_the_database_and_says_how_to_go_on(nordwind: Book, entra_sms: EntraSms) -> None:
    ended = entra_sms("tenants", "pause", "nordwind.example", "--reason", "moves to\nanother directory")

    assert (ended.code, ended.err) == (0, "")
    assert "Paused Nord Wind. Nothing is read from its directory any more" in ended.out
    assert "To go on: entra-sms tenants resume 'Nord Wind'\n" in ended.out
    assert stored(nordwind).state is TenantState.PAUSED
    facts = [line.split(maxsplit=1) for line in entra_sms("tenants", "show").out.splitlines()]
    assert ["State", "paused"] in facts
    assert "moves to" in entra_sms("tenants", "show").out
    assert entra_sms("tenants", "list").out.rstrip().endswith("paused")


def test_a_second_pause_changes_nothing(nordwind: Book, entra_sms: EntraSms) -> None:
    entra_sms("tenants", "pause", "nord wind", "--reason", "moves")
    before = stored(nordwind)

    ended = entra_sms("tenants", "pause", "nord wind", "--reason", "another one")

    assert ended.code == 0
    assert "was paused already, since" in ended.out
    assert stored(nordwind) == before


def test_resuming_makes_both_streams_due_at_once(nordwind: Book, entra_sms: EntraSms) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    for stream in Stream:
        nordwind.stream(stream, next_poll_at=later)
    entra_sms("tenants", "pause", "nord wind")
    assert stored(nordwind).state_reason == "by an operator"
    assert due_at(nordwind) == {later}

    ended = entra_sms("tenants", "resume", "nord wind")

    assert ended.code == 0
    assert "Resumed Nord Wind. What changed since" in ended.out
    assert (stored(nordwind).state, stored(nordwind).state_reason) == (TenantState.ACTIVE, None)
    assert max(due_at(nordwind)) < later


@pytest.mark.parametrize("state", [TenantState.ACTIVE, TenantState.ACCESS_FAILED])
def test_what_is_not_paused_is_not_resumed(nordwind: Book, entra_sms: EntraSms, state: TenantState) -> None:
    nordwind.tenant(state=state, state_reason="The secret has expired.")

    ended = entra_sms("tenants", "resume", "nord wind")

    assert ended.code == 0
    assert "Nord Wind is not paused. Nothing was changed." in ended.out
    assert ("entra-sms tenants check 'Nord Wind'" in ended.out) is (state is TenantState.ACCESS_FAILED)
    assert stored(nordwind).state is state
