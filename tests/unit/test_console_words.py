"""How the console puts things: spans, phases of a sync, troubles of a tenant, addresses, foreign texts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.db.tenants import TenantState
from common.messages import Stream
from console import addresses, output, phases, times
from console.asked import Asked
from console.exits import Exit
from console.reads.advance import Advance, Answer, Look, Pause

NOW = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
ASKED = Asked("tenant", "Contoso", Stream.USERS, "request", title="users")
IDLE = Advance(
    tenant_id="tenant",
    stream=Stream.USERS,
    last_good_at=None,
    last_full_at=None,
    last_began_at=None,
    failures=0,
    last_error=None,
    lease_until=None,
    wanted_at=None,
    full_wanted_at=None,
    full_wanted_reason=None,
    full_began_at=None,
    full_reason=None,
    full_pages=0,
    full_objects=0,
    full_request_ids=(),
)
READING = replace(
    IDLE, full_began_at=NOW - timedelta(seconds=10), full_pages=12, full_objects=1200, full_request_ids=("request",)
)
ANSWER = Answer(
    "tenant", Stream.USERS, "ok", None, NOW - timedelta(seconds=4), NOW, 1200, 3, 0, 1, request_ids=("request",)
)


def look(one: Advance = IDLE, *answers: Answer, **pause: Any) -> Look:
    active = TenantState.ACTIVE
    fields = {"state": active, "reason": None, "since": NOW - timedelta(days=1), "throttled_until": None} | pause
    return Look(NOW, {("tenant", Stream.USERS): one}, {"tenant": Pause(**fields)}, answers)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7300, "2 h"),
        (172_800, "2 days"),
        (864_000, "10 days"),
    ],
)
def test_a_span_is_told_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert times.span(seconds) == words


@pytest.mark.parametrize(
    ("at", "total", "detail", "shown_total"),
    [
        (look(), None, "queued", None),
        (look(replace(IDLE, full_wanted_at=NOW)), None, "queued, waits for its turn", None),
        (look(READING), None, "1,200 people, 120/s, 12 pages", None),
        (look(READING), 2000, "1,200 of about 2,000 people, 120/s, 12 pages", 2000),
        (look(READING), 1000, "1,200 people, 120/s, 12 pages", None),
        (
            look(replace(READING, full_request_ids=())),
            None,
            "an earlier full sync: 1,200 people, 120/s, 12 pages",
            None,
        ),
        (
            look(READING, throttled_until=NOW + timedelta(seconds=40)),
            None,
            "1,200 people, 120/s, 12 pages; Graph asks for a pause, on again in 40 s",
            None,
        ),
        (look(IDLE, ANSWER), None, "complete in 4 s: 3 added, 1 removed (1,200 entries read)", None),
        (
            look(IDLE, replace(ANSWER, added=0, removed=0)),
            5,
            "complete in 4 s: nothing had changed (1,200 entries read)",
            None,
        ),
    ],
)
def test_the_meter_tells_the_phase(at: Look, total: int | None, detail: str, shown_total: int | None) -> None:
    meter = phases.meter(ASKED, at, total)

    assert (meter.detail, meter.total) == (detail, shown_total)


FAILED = TenantState.ACCESS_FAILED


def failure(at: Look, *, is_still: bool = False) -> Exit | None:
    found = phases.failure(ASKED, at, asked_at=NOW, is_still=is_still)
    return found.code if found else None


def test_access_that_fails_now_ends_the_wait_and_access_that_failed_before_may_recover() -> None:
    assert failure(look(state=FAILED, since=NOW)) is Exit.ACCESS_REFUSED
    assert failure(look(state=FAILED)) is None
    assert failure(look(state=FAILED), is_still=True) is Exit.ACCESS_REFUSED
    assert failure(look(IDLE, replace(ANSWER, outcome="failed"), state=FAILED)) is Exit.ACCESS_REFUSED
    assert failure(look(IDLE, ANSWER, state=FAILED)) is None


def test_nobody_waits_for_a_paused_tenant() -> None:
    assert failure(look(state=TenantState.PAUSED)) is Exit.FAILED
    assert failure(look(IDLE, ANSWER, state=TenantState.PAUSED)) is None


def test_an_answer_to_somebody_else_is_none() -> None:
    for other in (
        replace(ANSWER, request_ids=("another",)),
        replace(ANSWER, stream=Stream.GROUPS),
        replace(ANSWER, tenant_id="another"),
    ):
        assert ASKED.answer(look(IDLE, other)) is None


def test_failed_tries_are_told_until_there_is_an_answer() -> None:
    trying = replace(IDLE, failures=2, last_error="Graph answered 503.")

    assert (
        phases.last_trouble(ASKED, look(trying)) == "users: 2 tries failed, the next one follows. Graph answered 503."
    )
    assert phases.last_trouble(ASKED, look(trying, ANSWER)) is None


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        (0, "Start one with: python -m worker"),
        (None, "RabbitMQ cannot be reached any more"),
        (2, "though 2 workers listen."),
        (1, "though 1 worker listens."),
    ],
)
def test_stillness_is_explained(workers: int | None, words: str) -> None:
    assert words in phases.stillness(15.2, workers)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("amqp://user:pass@host:5672/%2F", "amqp://host:5672/%2F"),
        ("postgresql+psycopg://user:p%40ss@[::1]/book?password=x", "postgresql+psycopg://[::1]/book"),
        ("sqlite:////var/lib/book.sqlite", "sqlite:////var/lib/book.sqlite"),
        ("amqp://user:pass@host:port/", "an address that cannot be read"),
    ],
)
def test_addresses_lose_their_passwords(address: str, words: str) -> None:
    assert addresses.without_password(address) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "-"), ("", "-"), ("a\nb", "a b"), ("\x1b[2Jx", "\ufffd[2Jx"), ("\u202etxt.exe", "\ufffdtxt.exe"), (7, "7")],
)
def test_foreign_text_cannot_steer_the_terminal(value: object, words: str) -> None:
    assert output.shown(value) == words
