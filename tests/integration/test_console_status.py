"""`entra-sms status`: every state of a tenant as it is shown, to people, to programs and to monitoring."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pika
import pytest

from common import topology
from common.db import tenants
from common.db.tenants import TenantState
from common.messages import Stream
from tests.support.book import Book, add_tenant, book, guid
from tests.support.console import EntraSms
from tests.support.pen import Pen, person

NOBODY = "amqp://guest:password-of-the-broker@127.0.0.1:1/%2F"


@pytest.fixture
def contoso(sqlite_url: str) -> Iterator[Book]:
    with book(sqlite_url) as made:
        yield made


@pytest.fixture
def entra_sms(sqlite_url: str, amqp_url: str) -> EntraSms:
    return EntraSms({"database_url": sqlite_url, "amqp_url": amqp_url})


def is_well(made: Book) -> None:
    """Both streams of the tenant were read just now."""
    for stream in Stream:
        made.stream(stream, last_good_at=datetime.now(UTC), last_full_at=datetime.now(UTC))


def in_trouble(count: int, made: Book) -> None:
    """As many more tenants whose access failed."""
    with made.database.write() as connection:
        ids = [add_tenant(connection, f"Tenant {number}", None) for number in range(count)]
    for tenant_id in ids:
        Book(made.database, tenant_id).tenant(state=TenantState.ACCESS_FAILED, state_reason="The secret has expired.")


@contextmanager
def a_listener(amqp_url: str) -> Iterator[None]:
    """A consumer of the requests, as every worker is."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        topology.declare(channel)
        channel.basic_consume(topology.REQUESTS, lambda *_: None)
        yield


def test_status_is_well_when_all_is_well(database_url: str, amqp_url: str) -> None:
    entra_sms = EntraSms({"database_url": database_url, "amqp_url": amqp_url})
    with book(database_url) as contoso, a_listener(amqp_url):
        anna = contoso.person("Anna", phone="+48601234567")
        contoso.person("Jan", phone_state="invalid")
        contoso.group("Sales", ("user", anna), ("user", guid("left")))
        for stream in Stream:
            contoso.stream(stream, last_good_at=datetime.now(UTC), last_full_at=datetime.now(UTC))
        ended = entra_sms("status")
        read = json.loads(entra_sms("status", "--json").out)

    assert ended.code == 0, ended.out
    assert "All is well." in ended.out
    assert "2: 1 with a number, 0 without, 1 invalid" in ended.out
    assert "1 with 1 membership" in ended.out
    assert "RabbitMQ  1 worker; waiting: nothing" in ended.out
    assert (read["healthy"], read["verdict"]) == (True, "ok")
    assert read["tenants"][0]["people"] == 2
    assert read["broker"]["workers"] == 1
    assert set(read["tenants"][0]["streams"]) == {"users", "groups"}


def test_status_names_every_trouble(contoso: Book, sqlite_url: str) -> None:
    settings = {"database_url": sqlite_url, "amqp_url": NOBODY, "public_url": "https://sync.example"}
    old = datetime.now(UTC) - timedelta(days=2)
    contoso.tenant(state_since=old)
    contoso.stream(Stream.USERS, last_good_at=old, failures=3, last_error="Graph answered 503.")
    contoso.stream(Stream.GROUPS, last_good_at=old)
    contoso.subscription(Stream.USERS, guid("subscription"), old)

    ended = EntraSms(settings)("status")

    assert ended.code == 1
    shown = " ".join(ended.out.split())
    assert "users: the last 3 rounds failed. Graph answered 503." in shown
    assert "groups: last read 2 days ago; does a worker run?" in shown
    assert "users and groups: no subscription at Graph" in shown
    assert "users expired" in shown
    assert "RabbitMQ cannot be reached" in shown
    assert "password-of-the-broker" not in ended.out


def test_status_shows_a_full_sync_under_way(contoso: Book, entra_sms: EntraSms) -> None:
    began = datetime.now(UTC) - timedelta(seconds=28)
    contoso.stream(Stream.USERS, full_began_at=began, full_pages=34, full_objects=3400)

    out = entra_sms("status").out

    assert re.search(r"users sync +not read yet, full sync under way for \d+ s: 3,400, 34 pages", out)


def test_status_of_many_tenants_is_a_line_each(contoso: Book, entra_sms: EntraSms) -> None:
    with contoso.database.write() as connection:
        for count in range(6):
            add_tenant(connection, f"Tenant {count}", None)

    lines = entra_sms("status").out.splitlines()

    assert lines[0].split() == ["TENANT", "PEOPLE", "NO", "NUMBER", "GROUPS", "READ", "LAG", "STATE"]
    assert len([line for line in lines if line.startswith("Tenant ")]) == 6


def test_status_without_a_database_still_tells_of_the_broker(amqp_url: str) -> None:
    address = "postgresql+psycopg://somebody:password-of-the-database@127.0.0.1:1/book"

    ended = EntraSms({"database_url": address, "amqp_url": amqp_url})("status")

    assert ended.code == 4
    assert "RabbitMQ" in ended.out
    assert "The database is postgresql+psycopg://127.0.0.1:1/book (ENTRA_SMS_DATABASE_URL)." in ended.words
    assert "password-of-the-database" not in ended.out + ended.err


# A tenant that is not read


def test_a_paused_tenant_is_shown_with_its_reason_and_is_no_trouble(
    contoso: Book, entra_sms: EntraSms, amqp_url: str
) -> None:
    old = datetime.now(UTC) - timedelta(days=9)
    for stream in Stream:
        contoso.stream(stream, last_good_at=old, failures=2, last_error="Graph answered 503.")
    contoso.held_people()
    contoso.subscription(Stream.USERS, guid("subscription"), datetime.now(UTC) + timedelta(days=1))
    with contoso.database.write() as connection:
        tenants.pause(
            connection, contoso.tenant_id, "moves to another directory", datetime.now(UTC) - timedelta(days=3)
        )

    with a_listener(amqp_url):
        ended, read = entra_sms("status"), json.loads(entra_sms("status", "--json").out)

    assert ended.code == 0, ended.out
    shown = " ".join(ended.out.split())
    assert shown.startswith("Contoso contoso.example paused paused since")
    assert "3 days ago: moves to another directory. To go on: entra-sms tenants resume Contoso" in shown
    assert "; a worker deletes them" in shown
    assert "held users: 25 removals wait for a decision" in shown
    assert "All is well." in shown
    assert (read["tenants"][0]["state"], read["tenants"][0]["troubles"]) == ("paused", [])


def test_a_tenant_that_goes_on_after_a_long_pause_is_not_late_at_once(contoso: Book, entra_sms: EntraSms) -> None:
    is_well(contoso)
    contoso.stream(Stream.USERS, last_good_at=datetime.now(UTC) - timedelta(days=9))
    late = entra_sms("status").out
    assert "users: last read 9 days ago" not in late, "it was added just now"
    contoso.tenant(state_since=datetime.now(UTC) - timedelta(days=20))
    assert "users: last read 9 days ago" in entra_sms("status").out

    entra_sms("tenants", "pause", "Contoso")
    entra_sms("tenants", "resume", "Contoso")

    assert "users: last read 9 days ago" not in entra_sms("status").out


def test_failed_access_is_told_with_the_command_for_afterwards(
    contoso: Book, entra_sms: EntraSms, amqp_url: str
) -> None:
    is_well(contoso)
    contoso.tenant(state=TenantState.ACCESS_FAILED, state_reason="The client secret has expired. Make a new one.")

    with a_listener(amqp_url):
        ended = entra_sms("status")

    assert ended.code == 1
    shown = " ".join(ended.out.split())
    assert "access failed since 20" in shown
    assert "tried again every 15 min" in shown
    assert "Contoso: The client secret has expired. Make a new one. (since" in shown
    assert shown.endswith("When it is mended: entra-sms tenants check Contoso")


# Lag, subscriptions, many tenants


def test_the_lag_is_that_of_the_latest_change_of_each_stream(contoso: Book, entra_sms: EntraSms) -> None:
    assert "not known: no change was notified yet" in entra_sms("status").out
    ago = datetime.now(UTC) - timedelta(minutes=7)
    contoso.stream(Stream.USERS, last_change_at=ago, last_change_lag_seconds=0.42)
    contoso.stream(Stream.GROUPS, last_change_at=ago - timedelta(hours=3), last_change_lag_seconds=83.0)

    shown, read = entra_sms("status").out, json.loads(entra_sms("status", "--json").out)["tenants"][0]

    assert re.search(r"lag +users 0.4 s \(7 min ago\), groups 83 s \(3 h ago\)\n", shown)
    assert read["lag_seconds"] == 83.0
    assert (read["streams"]["users"]["lag_seconds"], read["streams"]["users"]["last_change_at"][:4]) == (
        0.42,
        str(ago.year),
    )


def test_why_there_is_no_subscription_is_told(contoso: Book, entra_sms: EntraSms) -> None:
    entra_sms.extra["ENTRA_SMS_PUBLIC_URL"] = "https://sync.example"
    contoso.tenant(state_since=datetime.now(UTC) - timedelta(hours=1), subscription_trouble="Graph cannot reach it.")

    shown = " ".join(entra_sms("status").out.split())

    assert (
        "users and groups: no subscription at Graph, so changes are found only every 300 s. Graph cannot reach it."
        in shown
    )


def test_the_same_trouble_of_many_tenants_is_one_line(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    is_well(contoso)
    with a_listener(amqp_url):
        in_trouble(3, contoso)
        few = entra_sms("status").out
        assert few.count("The secret has expired.") == 3
        with contoso.database.write() as connection:
            fourth = add_tenant(connection, "Tenant 9", None)
        Book(contoso.database, fourth).tenant(state=TenantState.ACCESS_FAILED, state_reason="The secret has expired.")
        many = entra_sms("status")

    assert many.out.splitlines()[-1].strip() == (
        "✗ 4 tenants cannot be read, since their access fails (Tenant 0, Tenant 1, Tenant 2 and 1 more)"
    )
    assert "The secret has expired." not in many.out
    assert json.loads(entra_sms("status", "--json").out)["troubles"][-1].startswith("Tenant 9: The secret has expired.")


def test_many_memberships_are_counted_as_they_are_seen(contoso: Book, entra_sms: EntraSms) -> None:
    anna = contoso.person("Anna")
    inner = contoso.group("Inner", ("user", anna))
    contoso.group(
        "Outer", ("group", inner), ("group", guid("gone")), ("user", guid("left")), ("device", guid("laptop"))
    )

    assert "2 with 3 memberships" in entra_sms("status").out


# Monitoring


def test_monitoring_gets_one_line_and_its_own_exit_codes(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    is_well(contoso)
    contoso.person("Anna")
    contoso.stream(Stream.USERS, last_change_at=datetime.now(UTC), last_change_lag_seconds=0.42)
    with a_listener(amqp_url):
        well = entra_sms("status", "--monitoring")
        contoso.stream(Stream.USERS, failures=1, last_error="Graph answered 503 | and more.")
        once = entra_sms("status", "--monitoring")
        old = datetime.now(UTC) - timedelta(days=2)
        contoso.tenant(state_since=old)
        contoso.stream(Stream.USERS, last_good_at=old)
        long = entra_sms("status", "--monitoring")

    figures = "tenants=1 people=1 workers=1 waiting=0 dead_letters=0 lag=0.4s\n"
    assert (well.code, well.out) == (0, f"ENTRA-SMS OK: all is well | {figures}")
    failed = "Contoso: users: the last round failed. Graph answered 503 / and more."
    assert (once.code, once.out) == (1, f"ENTRA-SMS WARNING: {failed} | {figures}")
    assert (long.code, long.out) == (2, f"ENTRA-SMS CRITICAL: {failed} | {figures}")


def test_held_removals_are_a_warning_and_a_missing_worker_is_critical(
    contoso: Book, entra_sms: EntraSms, amqp_url: str
) -> None:
    is_well(contoso)
    contoso.held_people()
    with a_listener(amqp_url):
        held = entra_sms("status", "--monitoring")
    alone = entra_sms("status", "--monitoring")

    assert (held.code, "25 removals wait for a decision" in held.out) == (1, True)
    assert alone.code == 2
    assert alone.out.startswith("ENTRA-SMS CRITICAL: No worker listens on the queue.")


@pytest.mark.parametrize(
    ("setting", "value", "code", "word"),
    [
        ("DATABASE_URL", "postgresql+psycopg://u:password-of-the-database@127.0.0.1:1/book", 2, "CRITICAL"),
        ("DATABASE_URL", "mysql://nobody", 3, "UNKNOWN"),
    ],
)
def test_what_monitoring_cannot_see_is_one_line_too(
    contoso: Book, entra_sms: EntraSms, setting: str, value: str, code: int, word: str
) -> None:
    entra_sms.extra[f"ENTRA_SMS_{setting}"] = value

    ended = entra_sms("status", "--monitoring")

    assert (ended.code, ended.err, len(ended.out.splitlines())) == (code, "", 1)
    assert ended.out.startswith(f"ENTRA-SMS {word}: ")
    assert "password-of-the-database" not in ended.out


def test_a_mistake_in_asking_is_unknown_to_monitoring(contoso: Book, entra_sms: EntraSms) -> None:
    ended = entra_sms("status", "--monitoring", "--tenant", "Nobody")

    assert (ended.code, ended.out.startswith("ENTRA-SMS UNKNOWN: No tenant is called 'Nobody'.")) == (3, True)


def test_changes_that_wait_long_to_be_published_are_a_warning_where_events_are_wanted(
    contoso: Book, entra_sms: EntraSms, amqp_url: str
) -> None:
    is_well(contoso)
    Pen(contoso, publishes=True).users(person(guid("anna")))
    wanting = EntraSms({**entra_sms.settings, "publish_events": "true"})
    with a_listener(amqp_url):
        assert wanting("status").code == 0, "a change that was made just now is late already"
        Pen(contoso, publishes=True, now=datetime.now(UTC) - timedelta(hours=2)).users(person(guid("ben")))
        assert entra_sms("status").code == 0

        ended = wanting("status")
        monitored = wanting("status", "--monitoring")

    assert ended.code == 1
    assert "Contoso: 2 changes wait to be published, since " in ended.out
    assert monitored.code == 1, "a warning: the book itself follows"


def test_a_group_of_the_scope_that_is_gone_is_a_warning(database_url: str, amqp_url: str) -> None:
    entra_sms = EntraSms({"database_url": database_url, "amqp_url": amqp_url})
    with book(database_url) as contoso, a_listener(amqp_url):
        is_well(contoso)
        sales, gone = contoso.group("Sales"), guid("gone")
        contoso.tenant(scope_groups=[sales, gone])
        ended = entra_sms("status")
        contoso.tenant(scope_groups=[sales])
        mended = entra_sms("status")

    assert ended.code == 1
    assert f"1 group of its scope, {gone}, is not in the directory and reaches nobody." in " ".join(ended.out.split())
    assert mended.code == 0
