"""`entra-sms results` and `entra-sms command`: what is asked by hand, and what is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert

from common.commands import Verb
from common.db.tables import commands, results
from common.messages import Stream
from tests.support.book import Book, book, guid
from tests.support.console import EntraSms
from tests.support.eventually import eventually
from tests.support.scripted_worker import a_worker

SUMMARY = "sync_now of Contoso was done in 0.4 s."


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


@pytest.fixture
def entra_sms(database_url: str, amqp_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url, "amqp_url": amqp_url})


def tell(contoso: Book, command_id: str | None, summary: str = SUMMARY, **values: Any) -> None:
    """Tell a result as the worker does."""
    row = {"kind": "command", "outcome": "done", "tenant_id": contoso.tenant_id, **values}
    with contoso.database.write() as connection:
        now = contoso.database.now(connection)
        body = {"summary": summary, "outcome": row["outcome"]}
        told = {"at": now, "message_id": str(uuid4()), "command_id": command_id, "summary": summary, "body": body}
        connection.execute(insert(results).values(**row, **told))


def test_results_are_shown_in_order_and_only_those_that_are_asked_for(contoso: Book, entra_sms: EntraSms) -> None:
    tell(contoso, "a", "The first.")
    tell(contoso, "b", "The second.", tenant_id=None)
    tell(contoso, "c", "The third\x1b[31m.", outcome="failed")
    told = entra_sms("results").out
    assert [line.split(maxsplit=2)[2] for line in told.splitlines()] == [
        "done     The first.",
        "done     The second.",
        "failed   The third\N{REPLACEMENT CHARACTER}[31m.",
    ]
    assert entra_sms("results", "--limit", "2").out.splitlines() == told.splitlines()[1:]
    assert "The second" not in entra_sms("results", "--tenant", "Contoso").out
    told = [json.loads(line) for line in entra_sms("results", "--json").out.splitlines()]
    assert [(one["message_id"], one["summary"]) for one in told][:2] == [("a", "The first."), ("b", "The second.")]


def test_where_nothing_was_told_it_is_said(contoso: Book, entra_sms: EntraSms) -> None:
    ended = entra_sms("results")
    assert (ended.code, ended.out) == (0, "")
    assert "no command was given" in ended.err
    assert entra_sms("results", "--json").out == ""


def test_following_shows_what_comes(contoso: Book, entra_sms: EntraSms) -> None:
    tell(contoso, "a", "The first.")
    process = entra_sms.start("results", "--follow")
    assert process.stdout is not None
    try:
        assert process.stdout.readline().endswith("The first.\n")
        tell(contoso, "b", "The second.")
        assert process.stdout.readline().endswith("The second.\n")
    finally:
        process.terminate()
        process.communicate(timeout=60)


def answering(contoso: Book, amqp_url: str, asked: list[dict[str, Any]], **values: Any) -> AbstractContextManager[None]:
    """Takes the commands and tells their results at once."""

    def react(command: dict[str, Any], command_id: str) -> None:
        asked.append(command)
        tell(contoso, command_id, **values)

    return a_worker(amqp_url, react)


def test_a_command_is_sent_and_its_answer_shown(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    asked: list[dict[str, Any]] = []
    with answering(contoso, amqp_url, asked):
        ended = entra_sms("command", "renew_subscriptions", "--tenant", "*", "--wait", "--timeout", "60")
    assert (ended.code, ended.out) == (0, SUMMARY + "\n")
    assert asked[0]["command"] == "renew_subscriptions"
    assert asked[0]["tenant"] == "*"


def test_a_command_that_failed_is_an_error(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    with answering(contoso, amqp_url, [], summary="It failed.", outcome="failed"):
        ended = entra_sms("command", "check_access", "--tenant", "Contoso", "--wait", "--timeout", "60")
    assert (ended.code, ended.out) == (1, "")
    assert "Error: It failed." in ended.err


def test_waiting_for_an_answer_ends_with_its_time(contoso: Book, entra_sms: EntraSms) -> None:
    ended = entra_sms("command", "check_access", "--tenant", "Contoso", "--wait", "--timeout", "0.5")
    assert ended.code == 5
    assert "entra-sms results" in ended.words


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["resync_object", "--tenant", "a"], '"object" is missing'),
        (["pause", "--tenant", "a", "--stream", "users"], "The options of pause are: --tenant, --reason."),
        (["approve_removals", "--tenant", "a", "--hold", "3"], '"up_to" is missing'),
        (["full_resync", "--tenant", "a", "--stream", "people"], '"stream" must be one of'),
    ],
)
def test_a_wrong_command_is_not_sent(contoso: Book, entra_sms: EntraSms, typed: list[str], said: str) -> None:
    ended = entra_sms("command", *typed)
    assert ended.code == 2
    assert said in ended.words


def test_one_person_or_group_is_read_again(contoso: Book, entra_sms: EntraSms, amqp_url: str) -> None:
    anna, staff, stranger = contoso.person("Anna"), contoso.group("Staff"), guid("stranger")
    asked: list[dict[str, Any]] = []
    with answering(contoso, amqp_url, asked):
        assert entra_sms("sync", "--person", "Anna", "--wait", "--timeout", "60").out == SUMMARY + "\n"
        assert entra_sms("sync", "--group", "Staff", "--wait", "--timeout", "60").code == 0
        assert entra_sms("sync", "--person", stranger, "--wait", "--timeout", "60").code == 0
        assert "entra-sms results" in entra_sms("sync", "--person", "Anna").out
        eventually(lambda: len(asked) == 4)
    assert {one["command"] for one in asked} == {Verb.RESYNC_OBJECT}
    assert [(one["object"], one["stream"]) for one in asked[:3]] == [
        (anna, Stream.USERS),
        (staff, Stream.GROUPS),
        (stranger, Stream.USERS),
    ]
    assert entra_sms("sync", "--person", "Nobody").code == 1
    assert entra_sms("sync", "--person", "Anna", "--full").code == 2


def test_who_waits_long_is_told_why(
    contoso: Book, entra_sms: EntraSms, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.answers.STILL_SECONDS", 1.0)
    ended = entra_sms("command", "sync_now", "--tenant", "*", "--wait", "--timeout", "2")
    assert "No worker listens on the queue." in ended.err
    taken = threading.Event()

    def react(_command: dict[str, Any], command_id: str) -> None:
        with contoso.database.write() as connection:
            row = {"command_id": command_id, "digest": "", "received_at": datetime.now(UTC), "asked": {}}
            connection.execute(insert(commands).values(row))
        taken.set()

    with a_worker(amqp_url, react):
        eventually(taken.is_set, what="the command of before to be taken")
        ended = entra_sms("command", "sync_now", "--tenant", "*", "--wait", "--timeout", "3")
    assert "worker" not in ended.err
