"""`entra-sms holds approve` and `reject`: who is asked, what goes to the queue, what is made of the answer."""

import getpass
import json
from collections.abc import Iterator
from typing import Any

import pytest

from common.commands import Verb, decode_command
from common.messages import Stream
from tests.support.book import Book, add_tenant, book, guid
from tests.support.console import EntraSms
from tests.support.eventually import eventually
from tests.support.scripted_worker import React, a_worker, answer_both

LEAVING = 25

USER = getpass.getuser()


@pytest.fixture
def contoso(sqlite_url: str) -> Iterator[Book]:
    with book(sqlite_url) as made:
        yield made


@pytest.fixture
def entra_sms(sqlite_url: str, amqp_url: str) -> EntraSms:
    return EntraSms({"database_url": sqlite_url, "amqp_url": amqp_url})


@pytest.fixture
def fabrikam(contoso: Book) -> Book:
    with contoso.database.write() as connection:
        return Book(contoso.database, add_tenant(connection, "Fabrikam", "fabrikam.example"))


@pytest.fixture
def hold(contoso: Book) -> int:
    """The number of a hold of 25 people, of whom the second has no name."""
    return contoso.held_people(LEAVING)


def published(amqp_url: str, entra_sms: EntraSms, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """What the command puts on the queue, and what it prints; it ends well."""
    commands: list[dict[str, Any]] = []
    with a_worker(amqp_url, lambda command, _: commands.append(command)):
        ended = entra_sms(*arguments)
        assert ended.code == 0, ended.err
        eventually(lambda: commands, what="a command")
    return commands, ended.out + ended.err


def carry_out(made: Book) -> React:
    """Does with the rows what the worker does."""

    def react(command: dict[str, Any], request_id: str) -> None:
        if command["command"] == Verb.REJECT_REMOVALS:
            made.end_hold(command["hold"], "rejected", request_id)
            answer_both(made)(command, request_id)
            return
        made.end_hold(command["hold"], "approved", request_id)
        made.round(Stream.USERS, request_id, mode="incremental", reason="approved", objects=0, added=0, removed=LEAVING)

    return react


# Which hold is meant


@pytest.mark.parametrize("verb", ["show", "approve", "reject"])
def test_one_of_several_holds_has_to_be_named(
    contoso: Book, fabrikam: Book, entra_sms: EntraSms, hold: int, verb: str
) -> None:
    other = fabrikam.held_people()

    ended = entra_sms("holds", verb)

    assert ended.code == 2
    assert [line.split()[0] for line in ended.err.splitlines()[1:3]] == [str(hold), str(other)]
    assert "say which one you mean" in ended.words


@pytest.mark.parametrize("verb", ["show", "approve", "reject"])
def test_a_hold_that_there_is_not_is_told(contoso: Book, fabrikam: Book, entra_sms: EntraSms, verb: str) -> None:
    none = entra_sms("holds", verb)
    hold = contoso.held_people()
    unknown, foreign = entra_sms("holds", verb, "999"), entra_sms("holds", verb, str(hold), "--tenant", "Fabrikam")

    assert (none.code, none.words) == (1, "Error: Nothing is held.")
    assert (unknown.code, unknown.words) == (
        1,
        "Error: There is no hold 999. Those there were: entra-sms holds list --all",
    )
    assert entra_sms("holds", verb, str(10**20)).code == 2
    assert (foreign.code, foreign.words) == (1, f"Error: Hold {hold} is not of Fabrikam but of Contoso.")


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_hold_that_has_ended_is_not_decided(contoso: Book, entra_sms: EntraSms, hold: int, verb: str) -> None:
    contoso.end_hold(hold, "returned")

    ended = entra_sms("holds", verb, str(hold))

    assert ended.code == 1
    assert f"Hold {hold} has ended already" in ended.words
    assert "all are back" in ended.words


# Approve


def test_an_approval_covers_who_was_shown(contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int) -> None:
    commands, said = published(amqp_url, entra_sms, "holds", "approve", "--yes")

    assert commands == [
        {"command": "approve_removals", "tenant": contoso.tenant_id, "hold": hold, "up_to": LEAVING, "by": USER},
    ]
    nameless = guid(f"{contoso.tenant_id} 2")
    names = f"Person 01, {nameless}, Person 03, Person 04, Person 05 and 20 more."
    assert f"This removes 25 people from the address book of Contoso: {names}" in said
    assert f"entra-sms holds show {hold}" in said
    decoded = decode_command(json.dumps(commands[0]).encode(), "request")
    assert (decoded.hold_id, decoded.up_to) == (hold, LEAVING)


def test_an_approval_may_stop_at_a_number(contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int) -> None:
    commands, said = published(amqp_url, entra_sms, "holds", "approve", str(hold), "--up-to", "2", "--yes")

    assert commands[0]["up_to"] == 2
    assert "This removes 2 people from the address book of Contoso: Person 01," in said
    assert "Another 23 with higher numbers are not approved by it." in said


def test_nobody_approves_numbers_that_were_never_held_or_are_back(
    contoso: Book, entra_sms: EntraSms, hold: int
) -> None:
    too_high = entra_sms("holds", "approve", "--up-to", "26", "--yes")
    contoso.let_go(guid(f"{contoso.tenant_id} 1"))
    back = entra_sms("holds", "approve", "--up-to", "1", "--yes")

    assert (too_high.code, back.code) == (2, 1)
    assert "the last removal that is held has number 25" in too_high.words
    assert "Nobody is held up to no. 1." in back.words


def test_without_a_terminal_an_approval_needs_yes(contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int) -> None:
    commands: list[dict[str, Any]] = []
    with a_worker(amqp_url, lambda command, _: commands.append(command)):
        refused = entra_sms("holds", "approve", stdin="25\n")
        entra_sms("holds", "reject")
        eventually(lambda: commands, what="a command")

    assert refused.code == 2
    assert "--yes says that it is meant" in refused.words
    assert [one["command"] for one in commands] == ["reject_removals"]


def test_a_person_types_how_many_are_removed(contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int) -> None:
    question = "how many people are removed:"
    commands: list[dict[str, Any]] = []
    with a_worker(amqp_url, lambda command, _: commands.append(command)):
        for wrong in ("y", "24"):
            refused = entra_sms.on_terminal("holds", "approve", dialogue=[(question, wrong)])
            assert refused.code == 1
            assert "That is not their number. Nobody is removed." in refused.out
        agreed = entra_sms.on_terminal("holds", "approve", dialogue=[(question, "25")])
        eventually(lambda: commands, what="a command")

    assert agreed.code == 0, agreed.out
    assert [one["up_to"] for one in commands] == [LEAVING]


def test_a_hold_that_ends_while_a_person_thinks_is_not_decided(
    contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int
) -> None:
    def think() -> str:
        contoso.end_hold(hold, "returned")
        return str(LEAVING)

    ended = entra_sms.on_terminal("holds", "approve", dialogue=[("how many people are removed:", think)])

    assert ended.code == 1
    assert "ended before this was carried out: all are back." in " ".join(ended.out.split())


def test_waiting_for_an_approval_ends_with_its_answer(
    contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int
) -> None:
    with a_worker(amqp_url, carry_out(contoso)):
        ended = entra_sms("holds", "approve", "--yes", "--wait", "--timeout", "60")

    assert ended.code == 0, ended.err
    assert "users: complete in 0 s: 25 removed\n" in ended.err
    assert "The address book of Contoso is up to date: " in ended.out


# Reject


def test_a_rejection_names_the_hold(contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int) -> None:
    commands, said = published(amqp_url, entra_sms, "holds", "reject")

    assert commands == [{"command": "reject_removals", "tenant": contoso.tenant_id, "hold": hold, "by": USER}]
    assert "This removes none of the 25 people. Users and groups of Contoso are read again in full" in said


def test_waiting_for_a_rejection_ends_when_both_streams_were_read(
    contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int
) -> None:
    with a_worker(amqp_url, carry_out(contoso)):
        ended = entra_sms("holds", "reject", "--wait", "--timeout", "60")

    assert ended.code == 0, ended.err
    assert "users: complete" in ended.err
    assert "groups: complete" in ended.err


def test_a_rejection_after_which_they_are_missing_again_ends_with_6(
    contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int
) -> None:
    anew: list[int] = []

    def react(command: dict[str, Any], request_id: str) -> None:
        contoso.end_hold(command["hold"], "rejected", request_id)
        anew.append(contoso.hold(Stream.USERS, *(guid(f"{contoso.tenant_id} {one}") for one in range(1, 26))))
        answer_both(contoso)(command, request_id)

    with a_worker(amqp_url, react):
        ended = entra_sms("holds", "reject", "--wait", "--timeout", "60")

    assert ended.code == 6
    assert f"Look at them: entra-sms holds show {anew[0]}" in ended.words


@pytest.mark.parametrize(
    ("verb", "outcome", "words"),
    [
        (["approve", "--yes"], "returned", "all are back"),
        (["approve", "--yes"], "rejected", "rejected"),
        (["reject"], "approved", "approved"),
    ],
)
def test_waiting_ends_when_another_decision_came_first(
    contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int, verb: list[str], outcome: str, words: str
) -> None:
    def react(command: dict[str, Any], _request_id: str) -> None:
        contoso.end_hold(command["hold"], outcome, guid("somebody else's command"))

    with a_worker(amqp_url, react):
        ended = entra_sms("holds", *verb, "--wait", "--timeout", "60")

    assert ended.code == 1
    assert f"Hold {hold} ended before this was carried out: {words}." in ended.words


def test_an_approval_of_people_who_come_back_before_it_is_carried_out_ends_the_wait(
    contoso: Book, entra_sms: EntraSms, amqp_url: str, hold: int
) -> None:
    def react(command: dict[str, Any], request_id: str) -> None:
        contoso.end_hold(command["hold"], "returned", request_id)

    with a_worker(amqp_url, react):
        ended = entra_sms("holds", "approve", "--yes", "--wait", "--timeout", "60")

    assert ended.code == 1
    assert "all are back" in ended.words
