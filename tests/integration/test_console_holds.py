"""Held removals as the console shows them: `entra-sms holds`, `sync --wait` and `status`, on both databases."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from common.messages import Stream
from tests.support.book import Book, add_tenant, book, guid
from tests.support.console import EntraSms
from tests.support.scripted_worker import a_worker, answer_both

LEAVING = 25


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
    return contoso.held_people(LEAVING)


# List


def test_when_nothing_is_held_the_list_says_so(contoso: Book, entra_sms: EntraSms) -> None:
    for arguments, words in ((["list"], "Nothing is held."), (["list", "--all"], "Nothing was ever held.")):
        ended = entra_sms("holds", *arguments)
        assert (ended.code, ended.out, ended.words) == (0, "", words)


def test_open_holds_of_all_tenants_are_listed(contoso: Book, fabrikam: Book, entra_sms: EntraSms) -> None:
    first = contoso.held_people()
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
    contoso.held_people(book_size=1_234_567)

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", entra_sms.on_terminal("holds", "list", columns=55).out)

    assert "1,234,567  3 h ago" in shown
    assert "…" in shown
    assert max(len(line) for line in shown.splitlines()) <= 55


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
    fabrikam.held_people()

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
    contoso.held_people(count=0, last_number=0)

    ended = entra_sms("holds", "show", str(hold))

    assert "rejected" in ended.out.splitlines()[-1]
    assert ended.err == ""
    assert json.loads(entra_sms("holds", "show", str(hold), "--json").out)["removals"] == []


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
        "Warning: 25 people of Contoso are not in the directory any more, but were not removed. Of 1,001 people 100 "
        f"may leave within a day unasked; 3 had left before. Look at them: entra-sms holds show {hold}"
    ) in ended.words
    assert another.code == 0, another.err


def test_a_held_stream_is_a_trouble_with_what_to_type(contoso: Book, entra_sms: EntraSms) -> None:
    began_at = datetime.now(UTC) - timedelta(days=2)
    hold = contoso.held_people(LEAVING, began_at=began_at)
    for stream in Stream:
        contoso.stream(stream, last_good_at=datetime.now(UTC), last_full_at=datetime.now(UTC))

    ended, read = entra_sms("status"), json.loads(entra_sms("status", "--json").out)

    assert ended.code == 1
    assert ended.out.splitlines()[0] == "Contoso  contoso.example  held"
    since = began_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
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
