"""`entra-sms holds`: what is shown of held removals, what goes to the queue, what is made of the worker's answer."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.messages import Stream, Verb, decode_command
from tests.support.book import Book, add_tenant, book, guid
from tests.support.console import EntraSms
from tests.support.eventually import eventually
from tests.support.scripted_worker import React, a_worker, answer_both

LEAVING = 25
LONG_AGO = datetime.now(UTC) - timedelta(hours=3)


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


@pytest.fixture
def entra_sms(database_url: str, amqp_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url, "amqp_url": amqp_url})


@pytest.fixture
def fabrikam(contoso: Book) -> Book:
    with contoso.database.write() as connection:
        return Book(contoso.database, add_tenant(connection, "Fabrikam", "fabrikam.example"))


@pytest.fixture
def hold(contoso: Book) -> int:
    """The number of a hold of 25 people, of whom the second has no name; nobody else is in the book but Zoë."""
    contoso.person("Zoë", phone="+48601234567")
    return hold_people(contoso)


def hold_people(made: Book, count: int = LEAVING, **values: Any) -> int:
    names = [f"Person {number:02}" if number != 2 else None for number in range(1, count + 1)]
    ids = [made.person(name, guid(f"{made.tenant_id} {number}")) for number, name in enumerate(names, 1)]
    facts = {"began_at": LONG_AGO, "book_size": 1001, "removal_limit": 100, "removed_before": 3}
    return made.hold(Stream.USERS, *ids, **(facts | values))


def published(amqp_url: str, entra_sms: EntraSms, *arguments: str) -> tuple[list[dict[str, Any]], str]:
    """What the command puts on the queue, and what it prints; it ends well."""
    commands: list[dict[str, Any]] = []
    with a_worker(amqp_url, lambda command, _: commands.append(command)):
        ended = entra_sms(*arguments)
        assert ended.code == 0, ended.err
        eventually(lambda: commands, what="a command")
    return commands, ended.out + ended.err


def carry_out(made: Book, stream: Stream = Stream.USERS) -> React:
    """Does with the rows what the worker does."""

    def react(command: dict[str, Any], request_id: str) -> None:
        if command["command"] == Verb.REJECT_REMOVALS:
            made.end_hold(command["hold"], "rejected", request_id)
            answer_both(made)(command, request_id)
            return
        made.end_hold(command["hold"], "approved", request_id)
        made.round(stream, request_id, mode="incremental", reason="approved", objects=0, added=0, removed=LEAVING)

    return react


# List


def test_when_nothing_is_held_the_list_says_so(contoso: Book, entra_sms: EntraSms) -> None:
    for arguments, words in ((["list"], "Nothing is held."), (["list", "--all"], "Nothing was ever held.")):
        ended = entra_sms("holds", *arguments)
        assert (ended.code, ended.out, ended.words) == (0, "", words)


def test_open_holds_of_all_tenants_are_listed(contoso: Book, fabrikam: Book, entra_sms: EntraSms) -> None:
    first = hold_people(contoso)
    groups = [fabrikam.group(f"Team {number}") for number in range(21)]
    second = fabrikam.hold(Stream.GROUPS, *groups, mode="incremental", reason="follow_up", book_size=60)
    fabrikam.hold(Stream.USERS, ended=True)

    lines = entra_sms("holds", "list").out.splitlines()
    of_one = entra_sms("holds", "list", "--tenant", "fabrikam.example").out.splitlines()

    assert lines[0].split() == ["HOLD", "TENANT", "STREAM", "HELD", "OF", "SINCE", "WHY"]
    assert " ".join(lines[1].split()) == f"{first} Contoso users 25 1,001 3 h ago full sync (operator)"
    assert lines[2].split()[:5] == [str(second), "Fabrikam", "groups", "21", "60"]
    assert lines[2].endswith("changes (follow up)")
    assert [line.split()[0] for line in of_one[1:]] == [str(second)]
    assert len(lines) == 3


def test_ended_holds_are_listed_with_how_they_ended(contoso: Book, entra_sms: EntraSms) -> None:
    began_at, ended_at = (datetime.now(UTC) - timedelta(days=days) for days in (5, 4))
    for outcome in ("approved", "rejected", "returned"):
        contoso.hold(Stream.USERS, ended=True, began_at=began_at, ended_at=ended_at, outcome=outcome)
    contoso.hold(Stream.USERS, contoso.person("Anna"))

    lines = entra_sms("holds", "list", "--all").out.splitlines()

    assert [line.split("5 days ago  ")[1] for line in lines[1:-1]] == [
        "approved 4 days ago",
        "rejected 4 days ago",
        "all are back 4 days ago",
    ]
    assert lines[-1].endswith("-")


def test_on_a_narrow_terminal_no_number_is_cut(contoso: Book, entra_sms: EntraSms) -> None:
    contoso.tenant(name="Contoso International Holding and Sons")
    hold_people(contoso, book_size=1_234_567)

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", entra_sms.on_terminal("holds", "list", columns=80).out)

    assert "1,234,567  3 h ago" in shown
    assert "…" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


# Show


def test_a_hold_is_shown_with_what_happened_who_would_leave_and_what_to_type(
    contoso: Book, entra_sms: EntraSms, hold: int
) -> None:
    ended = entra_sms("holds", "show", "--limit", "3")

    assert ended.code == 0, ended.err
    facts = " ".join(ended.out.split())
    assert (
        "What happened A full sync did not see them in the directory. Of 1,001 people 100 may leave within a day"
        in facts
    )
    assert "unasked; 3 had left before." in facts
    assert "Held now 25 people" in facts
    assert "Nobody of these is removed, and nobody else either. New people, changes and memberships go on." in facts
    people = [line.split() for line in ended.out.splitlines()[-4:]]
    assert people == [
        ["NO", "NAME", "NUMBER", "MAIL"],
        ["1", "Person", "01", "missing", "-"],
        ["2", "-", "missing", "-"],
        ["3", "Person", "03", "missing", "-"],
    ]
    assert f"These are 3 of 25 people. More: --limit; all: entra-sms holds show {hold} --json" in ended.words
    assert f"To remove them: entra-sms holds approve {hold} --up-to 25" in ended.words
    assert f"To keep them: entra-sms holds reject {hold}" in ended.words


def test_held_groups_are_shown_as_groups(contoso: Book, entra_sms: EntraSms) -> None:
    groups = [contoso.group(f"Team {number:02}", kind="security", mail="team@contoso.example") for number in range(21)]
    contoso.hold(Stream.GROUPS, *groups, mode="incremental", reason="notification", removal_limit=0)

    out = entra_sms("holds", "show").out

    facts = " ".join(out.split())
    assert "The directory said that they are removed. Of 100 groups none may leave within a day unasked." in facts
    assert "None of these groups is removed" in facts
    assert out.splitlines()[-1].split() == ["21", "Team", "20", "security", "team@contoso.example"]


def test_who_is_held_later_than_the_full_sync_is_told_apart(contoso: Book, entra_sms: EntraSms, hold: int) -> None:
    assert "said later" not in entra_sms("holds", "show").out
    contoso.hold_more(hold, Stream.USERS, contoso.person("Late"))

    assert "or it said later that they are removed." in " ".join(entra_sms("holds", "show").out.split())


def test_a_hold_is_written_for_programs_with_everybody_in_it(
    contoso: Book, fabrikam: Book, entra_sms: EntraSms, hold: int
) -> None:
    hold_people(fabrikam)

    read = json.loads(entra_sms("holds", "show", str(hold), "--json", "--limit", "1").out)

    assert [one["number"] for one in read["removals"]] == list(range(1, LEAVING + 1))
    assert read["removals"][1]["object_id"] == guid(f"{contoso.tenant_id} 2")
    facts = {"hold": hold, "tenant_id": contoso.tenant_id, "stream": "users", "held": LEAVING, "last_number": LEAVING}
    assert facts.items() <= read.items()
    assert {"book_size": 1001, "removal_limit": 100, "removed_before": 3, "outcome": None}.items() <= read.items()


def test_names_of_strangers_cannot_steer_the_terminal(contoso: Book, entra_sms: EntraSms) -> None:
    contoso.hold(Stream.USERS, contoso.person("\x1b[2J[red]Eve[/red]\nAnna"))

    shown = entra_sms("holds", "show")
    asked = entra_sms("holds", "approve")

    assert "�[2J[red]Eve[/red] Anna" in shown.out
    assert "�[2J[red]Eve[/red] Anna" in asked.err
    assert "\x1b" not in shown.out + asked.err


def test_an_ended_hold_is_shown_with_its_end_and_nobody_in_it(contoso: Book, entra_sms: EntraSms, hold: int) -> None:
    contoso.end_hold(hold, "rejected")
    hold_people(contoso, count=0, last_number=0)

    ended = entra_sms("holds", "show", str(hold))

    assert "rejected" in ended.out.splitlines()[-1]
    assert ended.err == ""
    assert json.loads(entra_sms("holds", "show", str(hold), "--json").out)["removals"] == []


# Which hold is meant


@pytest.mark.parametrize("verb", ["show", "approve", "reject"])
def test_one_of_several_holds_has_to_be_named(
    contoso: Book, fabrikam: Book, entra_sms: EntraSms, hold: int, verb: str
) -> None:
    other = hold_people(fabrikam)

    ended = entra_sms("holds", verb)

    assert ended.code == 2
    assert [line.split()[0] for line in ended.err.splitlines()[1:3]] == [str(hold), str(other)]
    assert "say which one you mean" in ended.words


@pytest.mark.parametrize("verb", ["show", "approve", "reject"])
def test_a_hold_that_there_is_not_is_told(contoso: Book, fabrikam: Book, entra_sms: EntraSms, verb: str) -> None:
    none = entra_sms("holds", verb)
    hold = hold_people(contoso)
    unknown, foreign = entra_sms("holds", verb, "999"), entra_sms("holds", verb, str(hold), "--tenant", "Fabrikam")

    assert (none.code, none.words) == (1, "Error: Nothing is held.")
    assert (unknown.code, unknown.words) == (
        1,
        "Error: There is no hold 999. Those there were: entra-sms holds list --all",
    )
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
        {"command": "approve_removals", "tenant": contoso.tenant_id, "hold": hold, "up_to": LEAVING},
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
        for wrong in ("y", "", "24"):
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

    assert commands == [{"command": "reject_removals", "tenant": contoso.tenant_id, "hold": hold}]
    assert "None of the 25 people is removed. Users and groups of Contoso are read again in full" in said


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


# Sync and status


def test_a_sync_that_leaves_removals_held_says_so_and_ends_with_6(
    contoso: Book, fabrikam: Book, entra_sms: EntraSms, amqp_url: str, hold: int
) -> None:
    with a_worker(amqp_url, answer_both(contoso)):
        ended = entra_sms("sync", "--tenant", "Contoso", "--full", "--wait", "--timeout", "60")
    with a_worker(amqp_url, answer_both(fabrikam)):
        another = entra_sms("sync", "--tenant", "Fabrikam", "--full", "--wait", "--timeout", "60")

    assert ended.code == 6
    assert (
        "The address book of Contoso is up to date, except for held removals: 26 people, 1 with a number" in ended.out
    )
    assert (
        "Warning: 25 people of Contoso are not in the directory any more, but were not removed: Of 1,001 people 100 "
        f"may leave within a day unasked; 3 had left before. Look at them: entra-sms holds show {hold}"
    ) in ended.words
    assert another.code == 0, another.err


def test_a_held_stream_is_a_trouble_with_what_to_type(contoso: Book, entra_sms: EntraSms, hold: int) -> None:
    for stream in Stream:
        contoso.stream(stream, last_good_at=datetime.now(UTC), last_full_at=datetime.now(UTC))

    ended, read = entra_sms("status"), json.loads(entra_sms("status", "--json").out)

    assert ended.code == 1
    assert ended.out.splitlines()[0] == "Contoso  contoso.example  held"
    since = LONG_AGO.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    trouble = f"users: 25 removals wait for a decision since {since}: entra-sms holds show {hold}"
    assert f"Contoso: {trouble}" in ended.out
    assert read["tenants"][0]["troubles"] == [trouble]
    streams = read["tenants"][0]["streams"]
    assert (streams["users"]["held"], streams["users"]["hold"]) == (LEAVING, hold)
    assert (streams["groups"]["held"], streams["groups"]["hold"]) == (0, None)


def test_a_tenant_with_other_troubles_as_well_is_in_trouble(contoso: Book, entra_sms: EntraSms, hold: int) -> None:
    contoso.stream(Stream.GROUPS, failures=3, last_error="Graph answered 503.")
    failing = entra_sms("status").out
    contoso.tenant(state="access_failed", state_reason="The client secret has expired.")
    refused = entra_sms("status").out

    assert failing.splitlines()[0].endswith("in trouble")
    assert refused.splitlines()[0].endswith("access failed")
    assert "25 removals wait for a decision" in refused
