"""`entra-sms sync`: what goes to the queue, and what is made of the rows that a worker writes."""

import getpass
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from common.db import erasure
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
        {"command": "full_resync", "tenant": contoso.tenant_id, "stream": "*", "by": getpass.getuser()},
        {"command": "sync_now", "tenant": contoso.tenant_id, "stream": "users", "by": getpass.getuser()},
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
            erasure.erase(connection, contoso.tenant_id)

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


def test_a_paused_tenant_is_not_asked_for_and_is_left_out_of_all(
    contoso: Book, entra_sms: EntraSms, amqp_url: str
) -> None:
    commands: list[dict[str, str]] = []
    with contoso.database.write() as connection:
        add_tenant(connection, "Fabrikam", None)
    contoso.tenant(state="paused", state_reason="moving house")
    with a_worker(amqp_url, lambda command, _: commands.append(command)):
        refused = entra_sms("sync", "--tenant", "Contoso", "--full")
        others = entra_sms("sync", "--tenant", "*")
        eventually(lambda: commands, what="a command")
    assert refused.code == 1
    assert "Contoso is paused since" in refused.words
    assert "entra-sms tenants resume Contoso" in refused.words
    assert "Contoso is paused, and is left out." in others.err
    assert [one["tenant"] for one in commands] == [guid("Fabrikam")]


def test_whoever_waits_is_told_when_the_tenant_is_paused_meanwhile(
    contoso: Book, entra_sms: EntraSms, amqp_url: str
) -> None:
    def pause(_command: dict[str, str], _command_id: str) -> None:
        contoso.tenant(state="paused", state_since=datetime.now(UTC))

    with a_worker(amqp_url, pause):
        ended = entra_sms("sync", "--wait", "--timeout", "60")
    assert ended.code == 1
    assert "Contoso is paused since" in ended.words
