"""`entra-sms sync` and `status`: what goes to the queue, and what is made of the rows that a worker writes."""

import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pika
import pytest

from common import topology
from common.db import tenants
from common.messages import Stream
from tests.support.book import Book, add_tenant, book, guid
from tests.support.console import EntraSms
from tests.support.eventually import eventually
from tests.support.scripted_worker import a_worker, answer_both

NOBODY = "amqp://guest:password-of-the-broker@127.0.0.1:1/%2F"


@pytest.fixture
def contoso(sqlite_url: str) -> Iterator[Book]:
    with book(sqlite_url) as made:
        yield made


@pytest.fixture
def entra_sms(sqlite_url: str, amqp_url: str) -> EntraSms:
    return EntraSms({"database_url": sqlite_url, "amqp_url": amqp_url})


def test_a_sync_is_queued_as_a_person_would_type_it(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    commands: list[dict[str, str]] = []
    with a_worker(amqp_url, lambda command, _: commands.append(command)):
        full = entra_sms("sync", "--tenant", "Contoso", "--full")
        users = entra_sms("sync", "--stream", "users")
        eventually(lambda: len(commands) == 2, what="two commands")

    assert (full.code, users.code) == (0, 0)
    assert "Queued a full sync of Contoso." in full.out
    assert "entra-sms status" in full.out
    assert commands == [
        {"command": "full_resync", "tenant": contoso.tenant_id, "stream": "*"},
        {"command": "sync_now", "tenant": contoso.tenant_id, "stream": "users"},
    ]


@pytest.mark.parametrize("full", [["--full"], []])
def test_waiting_ends_well_when_both_streams_are_answered(database_url: str, amqp_url: str, full: list[str]) -> None:
    entra_sms = EntraSms({"database_url": database_url, "amqp_url": amqp_url})
    with book(database_url) as contoso, a_worker(amqp_url, answer_both(contoso)):
        contoso.person("Anna", phone="+48601234567")
        ended = entra_sms("sync", "--tenant", "Contoso", *full, "--wait", "--timeout", "60")

    assert ended.code == 0, ended.err
    assert "The address book of Contoso is up to date: 1 person, 1 with a number, in 0 groups." in ended.out
    assert "users: complete in 0 s: 1 added (2 entries read)" in ended.err
    assert "groups: complete in 0 s" in ended.err
    assert "\x1b" not in ended.out + ended.err


def test_rounds_of_others_and_of_before_are_no_answer(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    def react(_command: dict[str, str], request_id: str) -> None:
        contoso.round(Stream.USERS, request_id)
        contoso.round(Stream.GROUPS, guid("somebody else's command"))

    with a_worker(amqp_url, react):
        ended = entra_sms("sync", "--full", "--wait", "--timeout", "2")

    assert ended.code == 5
    assert "Not complete after 2 s. It goes on without you." in ended.words


def test_a_failed_round_ends_it_with_the_reason(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    def react(_command: dict[str, str], request_id: str) -> None:
        contoso.round(Stream.GROUPS, request_id, outcome="failed", error="Graph answered 400 Request_BadRequest.")

    with a_worker(amqp_url, react):
        ended = entra_sms("sync", "--full", "--wait", "--timeout", "60")

    assert ended.code == 1
    assert "groups: the sync failed. Graph answered 400 Request_BadRequest." in ended.words


def test_lost_access_ends_it_with_the_reason(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    def react(_command: dict[str, str], _request_id: str) -> None:
        now = datetime.now(UTC)
        reason = "The client secret has expired. [AADSTS7000222]"
        contoso.tenant(state="access_failed", state_reason=reason, state_since=now)

    with a_worker(amqp_url, react):
        ended = entra_sms("sync", "--full", "--wait", "--timeout", "60")

    assert ended.code == 3
    assert "Contoso cannot be read: The client secret has expired. [AADSTS7000222]" in ended.words
    assert "entra-sms tenants check Contoso" in ended.words


def test_access_that_failed_before_gets_another_chance(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    contoso.tenant(state="access_failed", state_reason="Old.", state_since=datetime.now(UTC) - timedelta(days=1))

    def react(_command: dict[str, str], request_id: str) -> None:
        contoso.tenant(state="active", state_reason=None)
        answer_both(contoso)(_command, request_id)

    with a_worker(amqp_url, react):
        ended = entra_sms("sync", "--full", "--wait", "--timeout", "60")

    assert ended.code == 0, ended.err


def test_a_tenant_that_is_removed_meanwhile_ends_it(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    def react(_command: dict[str, str], _request_id: str) -> None:
        with contoso.database.write() as connection:
            tenants.remove(connection, contoso.tenant_id)

    with a_worker(amqp_url, react):
        ended = entra_sms("sync", "--full", "--wait", "--timeout", "60")

    assert ended.code == 1
    assert "Contoso was removed meanwhile." in ended.words


def test_all_tenants_are_synced_with_a_star(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    with contoso.database.write() as connection:
        other = Book(contoso.database, add_tenant(connection, "Fabrikam", None))

    def react(command: dict[str, str], request_id: str) -> None:
        answer_both(other if command["tenant"] == other.tenant_id else contoso)(command, request_id)

    with a_worker(amqp_url, react):
        ended = entra_sms("sync", "--tenant", "*", "--full", "--wait", "--timeout", "60")

    assert ended.code == 0, ended.err
    assert "Fabrikam groups: complete" in ended.err
    assert ended.out.count("is up to date") == 2


def test_interrupting_lets_the_sync_go_on(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    commands: list[dict[str, str]] = []
    with a_worker(amqp_url, lambda command, _: commands.append(command)):
        process = entra_sms.start("sync", "--full", "--wait")
        eventually(lambda: commands, what="a command")
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "It goes on without you. Watch it with: entra-sms status" in err
    assert "Traceback" not in err


def test_bars_move_on_a_terminal(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    def react(_command: dict[str, str], request_id: str) -> None:
        now = datetime.now(UTC)
        contoso.stream(Stream.USERS, full_began_at=now, full_pages=3, full_objects=300, full_request_ids=[request_id])
        threading.Event().wait(1.0)
        answer_both(contoso)(_command, request_id)

    with a_worker(amqp_url, react):
        ended = entra_sms.on_terminal("sync", "--full", "--wait")

    assert ended.code == 0, ended.out
    assert "300 people" in ended.out
    assert "3 pages" in ended.out
    assert "━" in ended.out


def test_no_colour_means_no_colour(contoso: Book, entra_sms: EntraSms) -> None:
    entra_sms.extra["NO_COLOR"] = "1"

    ended = entra_sms.on_terminal("status")

    assert "\x1b[3" not in ended.out
    assert "Contoso" in ended.out


def test_a_broker_out_of_reach_is_told_without_its_password(contoso: Book, sqlite_url: str) -> None:
    ended = EntraSms({"database_url": sqlite_url, "amqp_url": NOBODY})("sync", "--full")

    assert ended.code == 4
    assert (
        "RabbitMQ cannot be reached at 127.0.0.1:1: Connection refused. It was looked for at amqp://127.0.0.1:1/%2F"
        in ended.words
    )
    assert "password-of-the-broker" not in ended.err


def test_a_timeout_without_waiting_is_a_mistake(entra_sms: EntraSms) -> None:
    ended = entra_sms("sync", "--timeout", "3")

    assert ended.code == 2
    assert "--wait" in ended.err


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
    assert read["healthy"] is True
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
    assert "users: no subscription at Graph" in shown
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

    assert lines[0].split() == ["TENANT", "PEOPLE", "NO", "NUMBER", "GROUPS", "READ", "STATE"]
    assert len([line for line in lines if line.startswith("Tenant ")]) == 6


def test_status_without_a_database_still_tells_of_the_broker(amqp_url: str) -> None:
    address = "postgresql+psycopg://somebody:password-of-the-database@127.0.0.1:1/book"

    ended = EntraSms({"database_url": address, "amqp_url": amqp_url})("status")

    assert ended.code == 4
    assert "RabbitMQ" in ended.out
    assert "The database is postgresql+psycopg://127.0.0.1:1/book (ENTRA_SMS_DATABASE_URL)." in ended.words
    assert "password-of-the-database" not in ended.out + ended.err
