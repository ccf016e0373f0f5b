"""`entra-sms explain`: what the book and its feed tell of one person, on both databases."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from common.db.tables import contacts
from common.messages import Mode, Reason, Stream
from tests.support.bench import Bench
from tests.support.book import Book, add_tenant, book, guid
from tests.support.console import EntraSms
from tests.support.pen import REMOVED, Pen, gone, group, member, person
from tests.support.scripted_graph import page

ANNA, BO = guid("anna"), guid("bo")
RECEPTION, BERLIN, STAFF = guid("reception"), guid("berlin"), guid("staff")


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        now = datetime.now(UTC)
        for stream in Stream:
            made.stream(stream, last_good_at=now, last_full_at=now)
        yield made


@pytest.fixture
def pen(contoso: Book) -> Pen:
    """Anna with a business number, in Reception, which is in Berlin, which is in Staff; and Bo without a number."""
    pen = Pen(contoso)
    anna = {"displayName": "Anna Łukasik", "mail": "anna@contoso.example", "mobilePhone": "12"}
    pen.users(person(ANNA, **anna, businessPhones=["22 123 45 67"]), person(BO, displayName="Bo"), full=True)
    pen.groups(
        group(RECEPTION, member(ANNA), name="Reception"),
        group(BERLIN, member(RECEPTION, "group"), name="Berlin"),
        group(STAFF, member(BERLIN, "group"), name="Staff"),
        full=True,
    )
    return pen


@pytest.fixture
def entra_sms(database_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url})


def facts(out: str) -> dict[str, list[str]]:
    """Names and lines of values, of what stands before the changes."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in out.partition("\n\n")[0].splitlines():
        name = line[:17].strip() or name
        found.setdefault(name, []).append(line[17:])
    return found


def explained(entra_sms: EntraSms, who: str, *options: str) -> Any:
    return json.loads(entra_sms("explain", who, "--json", *options).out)


@pytest.mark.parametrize("typed", [ANNA.upper(), "anna@contoso.example", "ANNA łukasik", "+48 22 123 45 67", "Łuk"])
def test_a_person_is_explained_by_whatever_is_known(pen: Pen, entra_sms: EntraSms, typed: str) -> None:
    ended = entra_sms("explain", typed)

    assert (ended.code, ended.err) == (0, "")
    shown = facts(ended.out)
    assert shown["Person"] == ["Anna Łukasik"]
    assert shown["In the book"][0].startswith("yes, since 20")
    assert shown["Number"] == ["+48221234567"]
    assert shown["Why"][0].startswith('the mobile phone holds "12", which is no valid number in PL; so the first')
    assert shown["Mobile phone"] == ["12"]
    assert shown["In groups"] == ["Reception"]
    assert shown["Through groups"] == ["Berlin > Reception", "Staff > Berlin > Reception"]


def test_who_has_no_number_is_told_why(pen: Pen, entra_sms: EntraSms) -> None:
    pen.users(person(guid("zoe"), displayName="Zoë", mobilePhone="ask"), full=True)

    bo, zoe = facts(entra_sms("explain", "Bo").out), facts(entra_sms("explain", "Zoë").out)

    assert (bo["Number"], zoe["Number"]) == (["none"], ["none that is valid"])
    assert "the directory holds none" in bo["Why"][0]
    assert 'the mobile phone holds "ask"' in zoe["Why"][0]
    assert bo["In groups"] == bo["Through groups"] == ["-"]


def test_what_changed_is_told_latest_first(pen: Pen, entra_sms: EntraSms) -> None:
    pen.users({**person(ANNA, displayName="Anna Łukasik", mail="anna@contoso.example"), "mobilePhone": "601 234 567"})
    pen.groups({"id": RECEPTION, "members@delta": [{**member(ANNA), **REMOVED}]})
    pen.groups(gone(STAFF))
    pen.groups({"id": BERLIN, "members@delta": [member(ANNA)]})
    other = guid("other")
    pen.groups(group(other, member(ANNA), name="Other"))
    pen.groups({"id": other, "members@delta": [{**member(ANNA), **REMOVED}]})
    pen.groups(gone(other))

    whole, first = entra_sms("explain", "anna"), entra_sms("explain", "anna", "--limit", "2")

    happened = [line.partition("  ")[2] for line in whole.out.split("latest first\n")[1].splitlines()]
    assert happened == [
        f"left the group {other} (notification)",
        f"joined the group {other} (notification)",
        "joined Berlin (notification)",
        "left Reception (notification)",
        "mobile phone and number changed (notification)",
        "joined Reception (notification)",
        "came into the address book (notification)",
    ]
    assert first.out.splitlines()[-2:] == whole.out.split("latest first\n")[1].splitlines()[:2]
    assert "There is more before that: --limit" in first.err
    assert whole.err == ""


def test_somebody_who_was_removed_is_explained_by_the_id(pen: Pen, entra_sms: EntraSms) -> None:
    pen.users(gone(ANNA))

    ended, by_name = entra_sms("explain", ANNA), entra_sms("explain", "anna@contoso.example")
    body = explained(entra_sms, ANNA)

    assert ended.code == 0
    assert "no: removed 20" in ended.out
    assert "ago (notification). Names and numbers of people who leave are erased" in ended.out
    assert "1 membership of the id is kept for the case of a return." in ended.out
    assert "Łukasik" not in ended.out
    assert f"entra-sms explain {ANNA} --live" in ended.words
    assert (body["state"], body["person"], body["groups"]) == ("removed", None, [])
    assert body["last_passage"]["reason"] == "notification"
    assert by_name.code == 1
    assert "only the object id can be explained" in by_name.words


def test_the_kind_of_round_that_removed_somebody_is_told(contoso: Book, entra_sms: EntraSms) -> None:
    bench = Bench(contoso)
    bench.graph.on(bench.graph.FIRST, page(person(ANNA), person(BO), end="live"), page(person(BO), end="live"))
    bench.graph.on("live", page(end="live"))
    bench.advance()
    bench.advance(bench.request(Reason.CALENDAR, mode=Mode.FULL))

    assert "(first sync)" in entra_sms("explain", BO).out
    assert "(regular full sync)" in entra_sms("explain", ANNA).out


def test_somebody_who_came_back_is_in_the_book_since_then(pen: Pen, entra_sms: EntraSms) -> None:
    pen.users(gone(ANNA))
    pen.later(hours=2)
    pen.users(person(ANNA, displayName="Anna"))

    ended = entra_sms("explain", ANNA)

    assert f"yes, since {pen.now.astimezone():%Y-%m-%d %H:%M:%S} (notification)" in ended.out


def test_a_removal_that_is_held_names_the_hold_and_what_to_type(pen: Pen, entra_sms: EntraSms) -> None:
    hold_id = pen.book.hold(Stream.USERS, BO, ANNA)

    body = explained(entra_sms, "anna")
    out = entra_sms("explain", "anna").out

    assert (body["state"], body["hold"], body["held_number"]) == ("held", hold_id, 2)
    assert f"The removal is no. 2 of hold {hold_id}, which waits for a decision since" in out
    assert f"entra-sms holds show {hold_id}" in out


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ({"decision": "approve", "decided_up_to": 2}, "is approved"),
        ({"decision": "approve", "decided_up_to": 1}, "waits for a decision"),
        ({"decision": "reject"}, "was rejected"),
    ],
)
def test_a_decision_that_is_not_carried_out_yet_is_told(
    pen: Pen, entra_sms: EntraSms, decision: dict[str, Any], words: str
) -> None:
    pen.book.hold(Stream.USERS, BO, ANNA, **decision)

    assert words in explained(entra_sms, "anna")["reason"]


def test_somebody_who_is_read_by_himself_soon_is_not_said_to_be_nobody(pen: Pen, entra_sms: EntraSms) -> None:
    new = guid("new")
    pen.users({"id": new, "mobilePhone": "601 234 567"}, {"id": BO, "displayName": "Bo Now"})

    ended = entra_sms("explain", new)

    assert ended.code == 0
    assert "not yet. Graph named this id but did not tell enough of it" in ended.out
    assert explained(entra_sms, new)["state"] == "noted"
    assert "by itself, because Graph told only a part of a change" in entra_sms("explain", BO).out
    assert "Will be read" not in entra_sms("explain", ANNA).out


def test_an_id_that_nobody_has_ends_with_1(pen: Pen, entra_sms: EntraSms) -> None:
    ended = entra_sms("explain", guid("nobody"))

    assert ended.code == 1
    assert "no: the directory never showed a person with this id." in ended.out
    assert "No change is on record." in ended.out
    assert explained(entra_sms, guid("nobody"))["state"] == "never_seen"


def test_before_the_first_sync_is_complete_nothing_is_said_of_absence(pen: Pen, entra_sms: EntraSms) -> None:
    pen.book.stream(Stream.USERS, last_full_at=None, full_objects=1200)

    ended, by_name = entra_sms("explain", guid("nobody")), entra_sms("explain", "Nobody")

    assert (ended.code, by_name.code) == (1, 1)
    assert "nothing can be said yet" in ended.out
    for told in (ended.out, by_name.words):
        assert "The first sync of the people is not complete (1,200 entries so far)" in told
    assert explained(entra_sms, guid("nobody"))["state"] == "not_read_yet"


def test_why_the_book_may_be_old_is_told(pen: Pen, entra_sms: EntraSms) -> None:
    now = datetime.now(UTC)
    assert "But" not in facts(entra_sms("explain", "anna").out)

    pen.book.stream(Stream.USERS, failures=3, last_error="Graph answered 503.", last_good_at=now - timedelta(hours=3))
    pen.book.tenant(throttled_until=now + timedelta(seconds=90))
    failing = facts(entra_sms("explain", "anna").out)
    pen.book.tenant(state="access_failed", state_reason="The secret has expired.")
    refused = facts(entra_sms("explain", "anna").out)

    assert failing["But"][0].startswith("Graph asks for a pause; reading goes on in ")
    assert failing["But"][1] == "Of the people the last 3 rounds failed. Graph answered 503."
    assert failing["Last read"][0].startswith("people 3 h ago, groups ")
    [line] = refused["But"]
    assert line.startswith("The directory cannot be read since ")
    assert line.endswith("so later changes are not known. The secret has expired.")


def test_a_contact_that_vanished_without_a_word_is_mended_by_a_full_sync(pen: Pen, entra_sms: EntraSms) -> None:
    with pen.database.write() as connection:
        connection.execute(delete(contacts).where(contacts.c.object_id == ANNA))

    ended = entra_sms("explain", ANNA)

    assert ended.code == 0
    assert "no change tells of a removal. A full sync mends it: entra-sms sync --full" in ended.out


def test_a_group_is_not_taken_for_a_person(pen: Pen, entra_sms: EntraSms) -> None:
    there = entra_sms("explain", STAFF)
    pen.groups(gone(STAFF))
    left = entra_sms("explain", STAFF)

    assert (there.code, left.code) == (1, 1)
    assert f"This is the id of a group: entra-sms groups show {STAFF}" in there.words
    assert "a group that is no longer in the address book" in left.words


def test_several_people_are_offered_with_their_ids(pen: Pen, entra_sms: EntraSms) -> None:
    pen.users(person(guid("two"), displayName="Anna Łukasik"), full=True)

    ended = entra_sms("explain", "anna łukasik")

    assert (ended.code, ended.out) == (1, "")
    assert ANNA in ended.err
    assert guid("two") in ended.err


def test_another_tenant_says_nothing_of_the_person(pen: Pen, entra_sms: EntraSms) -> None:
    with pen.database.write() as connection:
        other = Book(pen.database, add_tenant(connection, "Fabrikam", None))
    other.person("Somebody Else", BO)

    ours, theirs = explained(entra_sms, ANNA, "--tenant", "Contoso"), explained(entra_sms, ANNA, "--tenant", "Fabrikam")

    assert (ours["state"], theirs["state"]) == ("in_book", "not_read_yet")
    assert (theirs["changes"], theirs["memberships"]) == ([], 0)
    assert explained(entra_sms, BO, "--tenant", "Fabrikam")["person"]["display_name"] == "Somebody Else"


def test_the_json_holds_every_fact(pen: Pen, entra_sms: EntraSms) -> None:
    body = explained(entra_sms, "anna", "--limit", "1")

    assert body["state"] == "in_book"
    assert body["person"]["mobile_phone"] == "12"
    assert (body["number"]["phone"], body["number"]["source"]) == ("+48221234567", "business")
    assert body["number"]["readings"] == [
        {"source": "mobile", "written": "12", "number": None},
        {"source": "business", "written": "22 123 45 67", "number": "+48221234567"},
    ]
    assert [(one["display_name"], one["direct"]) for one in body["groups"]] == [
        ("Reception", True),
        ("Berlin", False),
        ("Staff", False),
    ]
    assert [team["object_id"] for team in body["groups"][2]["path"]] == [STAFF, BERLIN, RECEPTION]
    [change] = body["changes"]
    assert (change["kind"], change["group_id"], change["group_name"]) == ("membership.added", RECEPTION, "Reception")
    assert body["has_earlier_changes"]
    assert (body["live"], body["caveats"]) == (None, [])


def test_on_a_terminal_no_line_is_wider_than_it_and_nothing_steers_it(contoso: Book, entra_sms: EntraSms) -> None:
    pen = Pen(contoso)
    pen.users(person(ANNA, displayName="An\x1b]0;na " * 20, mobilePhone="\x1b[2Jx" * 30), full=True)
    pen.groups(group(STAFF, member(ANNA), name="\x1b[31mStaff " * 30), full=True)

    shown = entra_sms.on_terminal("explain", ANNA, columns=80)

    plain = "".join(part.partition("m")[2] if at else part for at, part in enumerate(shown.out.split("\x1b[")))
    assert shown.code == 0
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 80
    assert "\x1b]0;" not in shown.out
    assert "\x1b[2J" not in shown.out
