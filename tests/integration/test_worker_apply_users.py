"""From pages of users to contacts, on both databases."""

from collections.abc import Iterator

import pytest
from sqlalchemy import delete, insert, select, update

from common.db.tables import changes, contacts, streams
from common.db.tenants import RemovalLimit
from common.messages import Stream
from tests.support.book import book, guid, lent_book
from tests.support.pen import Pen, gone, group, member, person
from tests.support.replay import held, replayed

ANNA, BERT, CLEO, STAFF = (guid(name) for name in ("anna", "bert", "cleo", "staff"))


@pytest.fixture
def pen(shared_database_url: str) -> Iterator[Pen]:
    with lent_book(shared_database_url) as found:
        pen = Pen(found)
        yield pen
        assert replayed(pen.database, found.tenant_id) == held(pen.database, found.tenant_id)


# Only what differs


def test_a_new_person_becomes_a_contact(pen: Pen) -> None:
    counts = pen.users(person(ANNA, displayName="Anna", mobilePhone="601 234 567", accountEnabled=True))
    row = pen.contact(ANNA)
    assert (row["display_name"], row["account_enabled"], row["mail"]) == ("Anna", True, None)
    assert (row["phone"], row["phone_source"], row["phone_state"]) == ("+48601234567", "mobile", "ok")
    assert (counts.objects, counts.added, counts.changed, counts.removed) == (1, 1, 0, 0)
    assert pen.feed() == [("contact.added", ANNA)]


def test_saying_the_same_again_writes_and_reports_nothing(pen: Pen) -> None:
    anna = person(ANNA, displayName="Anna", businessPhones=["22 555 01 23"])
    pen.users(anna)
    counts = pen.users(anna)
    assert (counts.objects, counts.altered) == (1, False)
    assert pen.feed() == [("contact.added", ANNA)]


def test_a_change_names_its_fields_and_touches_nobody_else(pen: Pen) -> None:
    pen.users(person(ANNA, surname="Nowak"), person(BERT, surname="Kot"))
    pen.users(person(ANNA, surname="Kowalska", mail="a@x.example"), person(BERT, surname="Kot"))
    assert pen.feed()[2:] == [("contact.changed", ANNA, ["surname", "mail"])]


def test_a_new_number_is_reported_together_with_what_follows_from_it(pen: Pen) -> None:
    pen.users(person(ANNA, mobilePhone="n/a"))
    pen.users(person(ANNA, mobilePhone="601 234 567"))
    [change] = pen.feed()[1:]
    assert set(change[2]) == {"mobile_phone", "phone", "phone_source", "phone_state"}


def test_no_personal_value_is_ever_in_the_feed(pen: Pen) -> None:
    pen.users(person(ANNA, displayName="Anna Zielony", mobilePhone="601 234 567", mail="anna@x.example"))
    pen.users(person(ANNA, displayName="Anna Czerwony", mobilePhone="602 234 567", mail="czerwony@x.example"))
    pen.users(gone(ANNA))
    with pen.database.read() as connection:
        everything = repr([tuple(row)[3:] for row in connection.execute(select(changes))]).lower()
    assert "display_name" in everything
    assert not [word for word in ("zielony", "czerwony", "234 567", "234567", "x.example") if word in everything]


# Absent and null


@pytest.mark.parametrize("full", [False, True])
def test_null_empties_a_field(pen: Pen, full: bool) -> None:
    pen.users(person(ANNA, surname="Nowak", businessPhones=["22 555 01 23"]))
    pen.users(person(ANNA, surname=None, businessPhones=[]), full=full)
    row = pen.contact(ANNA)
    assert (row["surname"], row["business_phones"], row["phone_state"]) == (None, [], "missing")


def test_between_full_rounds_silence_changes_nothing_and_is_looked_into(pen: Pen) -> None:
    pen.users(person(ANNA, surname="Nowak", mobilePhone="601 234 567"))
    pen.users(person(ANNA, mobilePhone="602 234 567"))
    assert pen.contact(ANNA)["surname"] == "Nowak"
    assert pen.noted() == {("users", ANNA, "object")}


def test_silence_about_what_was_empty_anyway_raises_no_doubt(pen: Pen) -> None:
    pen.users(person(ANNA))
    pen.users(person(ANNA))
    assert pen.noted() == set()


def test_in_a_full_round_silence_means_never_set(pen: Pen) -> None:
    pen.users(person(ANNA, surname="Nowak", businessPhones=["22 555 01 23"], accountEnabled=True))
    pen.users(person(ANNA), full=True)
    row = pen.contact(ANNA)
    assert (row["surname"], row["business_phones"], row["account_enabled"]) == (None, [], None)
    assert pen.noted() == set()


@pytest.mark.parametrize("full", [False, True])
def test_a_part_changes_what_it_says_and_the_rest_is_looked_into(pen: Pen, full: bool) -> None:
    pen.users(person(ANNA, surname="Nowak"))
    pen.users({"id": ANNA, "mail": "a@x.example"}, full=full)
    row = pen.contact(ANNA)
    assert (row["mail"], row["surname"]) == ("a@x.example", "Nowak")
    assert pen.noted() == {("users", ANNA, "object")}


@pytest.mark.parametrize("full", [False, True])
def test_a_part_of_somebody_unknown_is_no_contact_yet(pen: Pen, full: bool) -> None:
    pen.users({"id": ANNA, "mail": "a@x.example"}, full=full)
    assert pen.contact(ANNA) is None
    assert pen.noted() == {("users", ANNA, "object")}


def test_what_is_to_be_looked_into_brings_the_next_poll_forward(pen: Pen) -> None:
    pen.book.stream(Stream.USERS, next_poll_at=pen.now.replace(year=2099))
    pen.users({"id": ANNA, "mail": "a@x.example"})
    with pen.database.read() as connection:
        polls = dict(connection.execute(select(streams.c.stream, streams.c.next_poll_at)).all())
    assert (polls["users"] - pen.now).total_seconds() == pytest.approx(15)


# Removals


@pytest.mark.parametrize("reason", ["changed", "deleted", "somethingNew"])
def test_who_leaves_is_erased_whatever_the_reason(pen: Pen, reason: str) -> None:
    pen.users(person(ANNA), person(BERT))
    counts = pen.users({"id": ANNA, "@removed": {"reason": reason}})
    assert (pen.contact(ANNA), counts.removed) == (None, 1)
    assert pen.contact(BERT) is not None
    assert pen.feed()[-1] == ("contact.removed", ANNA)


def test_the_memberships_of_who_leaves_are_kept_as_ids(pen: Pen) -> None:
    pen.users(person(ANNA))
    pen.groups(group(STAFF, member(ANNA)))
    pen.users(gone(ANNA))
    assert pen.edges() == {(STAFF, ANNA)}


@pytest.mark.parametrize("full", [False, True])
def test_a_removed_stranger_creates_nothing(pen: Pen, full: bool) -> None:
    counts = pen.users(gone(ANNA), full=full)
    assert (pen.contact(ANNA), counts.altered, pen.feed(), pen.noted()) == (None, False, [], set())


def test_who_is_removed_is_no_longer_looked_into(pen: Pen) -> None:
    pen.users({"id": ANNA, "mail": "a@x.example"})
    pen.users(gone(ANNA))
    assert pen.noted() == set()


def test_removed_twice_is_reported_once(pen: Pen) -> None:
    pen.users(person(ANNA))
    pen.users(gone(ANNA))
    assert not pen.users(gone(ANNA)).altered


# Coming back


def test_who_is_restored_comes_back_and_the_groups_are_read_again(pen: Pen) -> None:
    pen.users(person(ANNA))
    pen.groups(group(STAFF, member(ANNA)), full=True)
    pen.users(gone(ANNA))
    pen.users(person(ANNA))
    assert pen.contact(ANNA) is not None
    assert pen.noted() == {("groups", STAFF, "members")}


def test_after_the_recycle_bin_is_emptied_a_person_of_the_same_id_is_new(pen: Pen) -> None:
    pen.users(person(ANNA))
    pen.groups(group(STAFF, member(ANNA)), full=True)
    pen.users(gone(ANNA))
    pen.later(days=32)
    pen.users(person(ANNA))
    assert pen.noted() == set()


def test_removed_and_back_in_one_page_is_a_removal_and_a_new_contact(pen: Pen) -> None:
    pen.users(person(ANNA, surname="Nowak", mail="a@x.example"))
    pen.users(gone(ANNA), person(ANNA, surname="Nowak"))
    assert pen.contact(ANNA)["mail"] is None
    assert pen.feed()[1:] == [("contact.removed", ANNA), ("contact.added", ANNA)]


def test_removed_and_back_in_part_stays_and_is_read_himself(pen: Pen) -> None:
    pen.users(person(ANNA, surname="Nowak"))
    pen.users(gone(ANNA), {"id": ANNA, "mail": "a@x.example"})
    assert (pen.contact(ANNA)["surname"], pen.contact(ANNA)["mail"]) == ("Nowak", "a@x.example")
    assert pen.feed()[1:] == [("contact.changed", ANNA, ["mail"])]
    assert ("users", ANNA, "object") in pen.noted()


def test_there_and_removed_in_one_page_is_removed(pen: Pen) -> None:
    pen.users(person(ANNA), gone(ANNA))
    assert pen.contact(ANNA) is None


# Full rounds


def test_a_full_round_sweeps_who_was_not_seen_since_it_began(pen: Pen) -> None:
    pen.users(person(ANNA), person(BERT), person(CLEO))
    counts = pen.full_round(Stream.USERS, [person(ANNA)], [person(CLEO)])
    assert (counts.removed, pen.contact(BERT)) == (1, None)
    assert pen.feed()[3:] == [("contact.removed", BERT)]


def test_who_was_seen_live_during_a_full_round_is_spared(pen: Pen) -> None:
    pen.users(person(ANNA))
    pen.generation += 1  # a full round began
    pen.users(person(BERT))
    pen.users(person(ANNA))
    pen.generation -= 1
    counts = pen.full_round(Stream.USERS, [])
    assert counts.removed == 0


def test_a_sweep_leaves_other_tenants_alone(pen: Pen, shared_database_url: str) -> None:
    with book(shared_database_url, "Fabrikam", "fabrikam.example") as other:
        Pen(other).users(person(ANNA))
        pen.full_round(Stream.USERS, [person(BERT)])
        assert Pen(other).contact(ANNA) is not None


def test_a_full_round_mends_what_was_edited_by_hand(pen: Pen) -> None:
    pen.users(person(ANNA, surname="Nowak", mobilePhone="601 234 567"))
    with pen.database.write() as connection:
        connection.execute(update(contacts).values(phone="+48999", phone_state="invalid", surname="Hacked"))
    pen.full_round(Stream.USERS, [person(ANNA, surname="Nowak", mobilePhone="601 234 567")])
    row = pen.contact(ANNA)
    assert (row["surname"], row["phone"], row["phone_state"]) == ("Nowak", "+48601234567", "ok")


def test_a_full_round_brings_back_what_was_removed_by_hand(pen: Pen) -> None:
    pen.users(person(ANNA))
    with pen.database.write() as connection:
        connection.execute(delete(contacts))
        connection.execute(delete(changes))  # the feed cannot know of it
    pen.full_round(Stream.USERS, [person(ANNA)])
    assert pen.contact(ANNA) is not None


def test_a_full_round_removes_who_was_added_by_hand(pen: Pen) -> None:
    row = {"tenant_id": pen.book.tenant_id, "object_id": CLEO, "business_phones": [], "phone_state": "missing"}
    with pen.database.write() as connection:
        connection.execute(insert(contacts).values(**row, generation=1))
        said = {"tenant_id": pen.book.tenant_id, "at": pen.now, "kind": "contact.added", "object_id": CLEO}
        connection.execute(insert(changes).values(**said, reason="hand"))
    pen.full_round(Stream.USERS, [person(ANNA)])
    assert pen.contact(CLEO) is None


def test_a_thousand_people_on_one_page_are_written_together(pen: Pen) -> None:
    people = [person(guid(f"person {number}")) for number in range(1_000)]
    assert pen.users(*people).added == 1_000
    pen.removal_limit = RemovalLimit(percent=100)
    assert pen.full_round(Stream.USERS, people[:400]).removed == 600


# Numbers


def test_the_region_of_a_number_is_the_persons_and_else_the_tenants(pen: Pen) -> None:
    pen.users(person(ANNA, mobilePhone="030 123456", usageLocation="DE"), person(BERT, mobilePhone="601 234 567"))
    assert pen.contact(ANNA)["phone"] == "+4930123456"
    assert pen.contact(BERT)["phone"] == "+48601234567"


def test_the_first_usable_number_wins_with_the_mobile_before_the_others(pen: Pen) -> None:
    pen.users(person(ANNA, mobilePhone="see reception", businessPhones=["n/a", "22 555 01 23", "22 555 01 24"]))
    row = pen.contact(ANNA)
    assert (row["phone"], row["phone_source"]) == ("+48225550123", "business")


def test_moving_to_another_country_reads_the_number_anew(pen: Pen) -> None:
    pen.users(person(ANNA, mobilePhone="030 123456", usageLocation="PL"))
    assert pen.contact(ANNA)["phone_state"] == "invalid"
    pen.users(person(ANNA, mobilePhone="030 123456", usageLocation="DE"))
    assert pen.contact(ANNA)["phone"] == "+4930123456"
