"""From pages of groups to groups and memberships, on both databases."""

from collections.abc import Iterator

import pytest
from sqlalchemy import delete, update

from common.db.tables import changes, groups, memberships
from common.messages import Stream
from tests.support.book import book, guid, lent_book
from tests.support.pen import REMOVED, Pen, gone, group, member, person
from tests.support.replay import held, replayed

ANNA, BERT, CLEO = (guid(name) for name in ("anna", "bert", "cleo"))
STAFF, BOARD, GUESTS = (guid(name) for name in ("staff", "board", "guests"))


@pytest.fixture
def pen(shared_database_url: str) -> Iterator[Pen]:
    """A book whose people have been read in full."""
    with lent_book(shared_database_url) as found:
        pen = Pen(found)
        found.stream(Stream.USERS, last_full_at=pen.now)
        yield pen
        assert replayed(pen.database, found.tenant_id) == held(pen.database, found.tenant_id)


# Groups


def test_a_new_group_is_added_with_its_members(pen: Pen) -> None:
    counts = pen.groups(group(STAFF, member(ANNA), member(BERT), mail="staff@x.example"), full=True)
    row = pen.group_row(STAFF)
    assert (row["display_name"], row["mail"]) == ("Staff", "staff@x.example")
    assert pen.edges() == {(STAFF, ANNA), (STAFF, BERT)}
    assert (counts.objects, counts.added) == (1, 3)
    assert pen.feed() == [("group.added", STAFF), ("membership.added", STAFF, ANNA), ("membership.added", STAFF, BERT)]


def test_saying_the_same_again_writes_and_reports_nothing(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)), full=True)
    assert not pen.groups(group(STAFF, member(ANNA))).altered
    assert len(pen.feed()) == 2


def test_a_renamed_group_names_the_field(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)), full=True)
    pen.groups({"id": STAFF, "displayName": "Everybody"})
    assert pen.feed()[2:] == [("group.changed", STAFF, ["display_name"])]
    assert pen.edges() == {(STAFF, ANNA)}


def test_two_groups_may_have_one_name(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)), group(BOARD, member(BERT)))
    assert pen.edges() == {(STAFF, ANNA), (BOARD, BERT)}


def test_between_full_rounds_silence_changes_nothing_and_is_looked_into(pen: Pen) -> None:
    pen.groups(group(STAFF, mail="staff@x.example"), full=True)
    pen.groups(group(STAFF, member(ANNA)))
    assert pen.group_row(STAFF)["mail"] == "staff@x.example"
    assert pen.noted() == {("groups", STAFF, "object")}


def test_in_a_full_round_silence_means_never_set(pen: Pen) -> None:
    pen.groups(group(STAFF, mail="staff@x.example"), full=True)
    pen.groups(group(STAFF), full=True)
    assert pen.group_row(STAFF)["mail"] is None


@pytest.mark.parametrize("full", [False, True])
def test_a_part_of_an_unknown_group_keeps_the_members_and_is_looked_into(pen: Pen, full: bool) -> None:
    pen.groups({"id": STAFF, "members@delta": [member(ANNA)]}, full=full)
    assert pen.group_row(STAFF) is None
    assert pen.edges() == {(STAFF, ANNA)}
    assert pen.noted() == {("groups", STAFF, "object")}


def test_a_slice_without_properties_in_a_full_round_raises_no_doubt_about_a_known_group(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA), mail="staff@x.example"), full=True)
    pen.groups({"id": STAFF, "members@delta": [member(BERT)]}, full=True)
    assert pen.group_row(STAFF)["mail"] == "staff@x.example"
    assert pen.noted() == set()


# Members


def test_slices_over_pages_add_up(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)))
    pen.groups(group(BOARD, member(ANNA)))
    pen.groups(group(STAFF, member(BERT)))
    assert pen.edges() == {(STAFF, ANNA), (BOARD, ANNA), (STAFF, BERT)}


@pytest.mark.parametrize("kind", ["user", "group", "device", "servicePrincipal", "orgContact", "somethingNew"])
def test_members_of_every_type_are_kept(pen: Pen, kind: str) -> None:
    pen.groups(group(STAFF, member(ANNA, kind)))
    assert pen.edges() == {(STAFF, ANNA)}


def test_a_group_may_be_a_member_of_itself(pen: Pen) -> None:
    pen.groups(group(STAFF, member(STAFF, "group")))
    assert pen.edges() == {(STAFF, STAFF)}


def test_a_removed_member_leaves_the_group_and_nothing_else(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA), member(BERT)), group(BOARD, member(ANNA)))
    pen.groups(group(STAFF, member(ANNA, **REMOVED)))
    assert pen.edges() == {(STAFF, BERT), (BOARD, ANNA)}
    assert pen.feed()[-1] == ("membership.removed", STAFF, ANNA)


@pytest.mark.parametrize("full", [False, True])
def test_a_removed_member_that_was_never_there_changes_nothing(pen: Pen, full: bool) -> None:
    pen.groups(group(STAFF), full=True)
    assert not pen.groups(group(STAFF, member(ANNA, **REMOVED)), full=full).altered


def test_added_and_removed_on_one_page_is_no_member(pen: Pen) -> None:
    pen.groups(group(STAFF), full=True)
    assert not pen.groups(group(STAFF, member(ANNA), member(ANNA, **REMOVED))).altered


def test_removed_and_added_on_one_page_is_a_member(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)), full=True)
    assert not pen.groups(group(STAFF, member(ANNA, **REMOVED)), group(STAFF, member(ANNA))).altered
    assert pen.edges() == {(STAFF, ANNA)}


def test_a_member_whose_type_was_not_told_gets_it_later(pen: Pen) -> None:
    pen.groups(group(STAFF, {"id": ANNA}))
    pen.groups(group(STAFF, member(ANNA)))
    with pen.database.read() as connection:
        assert list(connection.scalars(memberships.select().with_only_columns(memberships.c.member_type))) == ["user"]


# Removals and returns


def test_a_removed_group_goes_with_its_memberships_and_stays_a_member_of_others(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)), group(BOARD, member(STAFF, "group")))
    counts = pen.groups(gone(STAFF))
    assert (pen.group_row(STAFF), pen.edges(), counts.removed) == (None, {(BOARD, STAFF)}, 1)
    assert pen.feed()[-1] == ("group.removed", STAFF)


@pytest.mark.parametrize("full", [False, True])
def test_a_removed_unknown_group_creates_nothing(pen: Pen, full: bool) -> None:
    counts = pen.groups(gone(STAFF), full=full)
    assert (counts.altered, pen.feed(), pen.noted()) == (False, [], set())


def test_the_kept_members_of_an_unknown_group_are_reported_when_it_goes(pen: Pen) -> None:
    pen.groups({"id": STAFF, "members@delta": [member(ANNA)]})
    pen.groups(gone(STAFF))
    assert pen.edges() == set()
    assert pen.feed()[-1] == ("membership.removed", STAFF, ANNA)


def test_what_was_noted_about_a_removed_group_is_forgotten(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)))
    assert pen.noted() == {("groups", STAFF, "members")}
    pen.groups(gone(STAFF))
    assert pen.noted() == set()


def test_the_members_of_a_group_that_appears_between_full_rounds_are_read(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)))
    assert pen.noted() == {("groups", STAFF, "members")}


def test_in_a_full_round_only_the_members_of_restored_groups_are_read(pen: Pen) -> None:
    pen.groups(group(STAFF), group(BOARD), full=True)
    pen.groups(gone(STAFF))
    pen.full_round(Stream.GROUPS, [group(STAFF), group(BOARD), group(GUESTS)])
    assert pen.noted() == {("groups", STAFF, "members")}


def test_a_restored_nested_group_has_the_groups_around_it_read(pen: Pen) -> None:
    pen.groups(group(BOARD, member(STAFF, "group")), group(STAFF), full=True)
    pen.groups(gone(STAFF))
    pen.groups(group(STAFF))
    assert pen.noted() == {("groups", STAFF, "members"), ("groups", BOARD, "members")}


def test_removed_and_back_on_one_page_has_only_the_members_told_last(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA), member(BERT)), full=True)
    pen.groups(gone(STAFF), group(STAFF, member(BERT)))
    assert pen.edges() == {(STAFF, BERT)}
    assert ("groups", STAFF, "members") in pen.noted()


# Full rounds


def test_a_full_round_sweeps_groups_and_memberships_that_nothing_has_shown(pen: Pen) -> None:
    pen.users(person(ANNA), person(BERT))
    pen.groups(group(STAFF, member(ANNA), member(BERT)), group(BOARD, member(ANNA)), full=True)
    counts = pen.full_round(Stream.GROUPS, [group(STAFF, member(BERT))])
    assert pen.edges() == {(STAFF, BERT)}
    assert pen.group_row(BOARD) is None
    assert counts.removed == 2
    assert set(pen.feed()[-2:]) == {("group.removed", BOARD), ("membership.removed", STAFF, ANNA)}


def test_what_was_seen_live_during_a_full_round_is_spared(pen: Pen) -> None:
    pen.users(person(ANNA))
    pen.groups(group(STAFF), full=True)
    pen.generation += 1  # a full round began
    pen.groups(group(STAFF, member(ANNA)))
    pen.groups(group(BOARD))
    pen.generation -= 1
    pen.full_round(Stream.GROUPS, [])
    assert pen.edges() == {(STAFF, ANNA)}
    assert pen.group_row(BOARD) is not None


def test_a_sweep_spares_the_memberships_of_people_in_the_recycle_bin(pen: Pen) -> None:
    pen.users(person(ANNA), person(BERT))
    pen.groups(group(STAFF, member(ANNA), member(BERT)), full=True)
    pen.users(gone(ANNA))
    pen.full_round(Stream.GROUPS, [group(STAFF, member(BERT))])
    assert pen.edges() == {(STAFF, ANNA), (STAFF, BERT)}


def test_a_sweep_spares_the_memberships_of_groups_in_the_recycle_bin(pen: Pen) -> None:
    pen.groups(group(BOARD, member(STAFF, "group")), group(STAFF), full=True)
    pen.groups(gone(STAFF))
    pen.full_round(Stream.GROUPS, [group(BOARD)])
    assert pen.edges() == {(BOARD, STAFF)}


def test_once_the_recycle_bin_is_emptied_the_memberships_are_swept(pen: Pen) -> None:
    pen.users(person(ANNA))
    pen.groups(group(STAFF, member(ANNA)), full=True)
    pen.users(gone(ANNA))
    pen.later(days=32)
    pen.full_round(Stream.GROUPS, [group(STAFF)])
    assert pen.edges() == set()


def test_a_sweep_removes_the_memberships_of_strangers(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)), full=True)
    pen.full_round(Stream.GROUPS, [group(STAFF)])
    assert pen.edges() == set()


def test_a_group_whose_members_were_swept_is_read_since_one_may_have_been_away_only_while_it_was_listed(
    pen: Pen,
) -> None:
    pen.users(person(ANNA), person(BERT))
    pen.full_round(Stream.GROUPS, [group(STAFF, member(ANNA)), group(BOARD, member(BERT))])
    pen.full_round(Stream.GROUPS, [group(STAFF), group(BOARD, member(BERT))])
    assert pen.edges() == {(BOARD, BERT)}
    assert pen.noted() == {("groups", STAFF, "members")}


def test_a_sweep_spares_the_memberships_of_strangers_before_the_people_were_read(pen: Pen) -> None:
    """They may have left since the first full round of the groups, and be back before the people are read."""
    pen.book.stream(Stream.USERS, last_full_at=None)
    pen.groups(group(STAFF, member(ANNA), member(BERT, "device")), full=True)
    pen.full_round(Stream.GROUPS, [group(STAFF)])
    assert pen.edges() == {(STAFF, ANNA)}


def test_who_comes_back_is_looked_for_in_the_groups_that_lost_him_meanwhile(
    pen: Pen,
) -> None:
    pen.users(person(ANNA), person(BERT))
    pen.full_round(Stream.GROUPS, [group(STAFF, member(ANNA)), group(BOARD, member(BERT))])
    pen.full_round(Stream.GROUPS, [group(STAFF), group(BOARD, member(BERT))])  # deleted, and still in the book
    pen.users(gone(ANNA))
    pen.forget_noted()
    pen.later(days=20)
    pen.users(person(ANNA))
    assert pen.noted() == {("groups", STAFF, "members")}


def test_who_comes_back_after_the_recycle_bin_was_emptied_is_looked_for_nowhere(pen: Pen) -> None:
    pen.users(person(ANNA))
    pen.full_round(Stream.GROUPS, [group(STAFF, member(ANNA))])
    pen.full_round(Stream.GROUPS, [group(STAFF)])
    pen.users(gone(ANNA))
    pen.forget_noted()
    pen.later(days=32)
    pen.users(person(ANNA))
    assert pen.noted() == set()


def test_a_sweep_leaves_other_tenants_alone(pen: Pen, shared_database_url: str) -> None:
    with book(shared_database_url, "Fabrikam", "fabrikam.example") as other:
        Pen(other).groups(group(STAFF, member(ANNA)))
        pen.full_round(Stream.GROUPS, [group(BOARD)])
        assert Pen(other).edges() == {(STAFF, ANNA)}


def test_a_full_round_mends_what_was_edited_by_hand(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)), full=True)
    with pen.database.write() as connection:
        connection.execute(update(groups).values(display_name="Hacked"))
        connection.execute(update(memberships).values(member_type="device"))
    pen.full_round(Stream.GROUPS, [group(STAFF, member(ANNA))])
    with pen.database.read() as connection:
        [edge] = connection.execute(memberships.select())
    assert (pen.group_row(STAFF)["display_name"], edge.member_type) == ("Staff", "user")


def test_a_full_round_brings_back_what_was_removed_by_hand(pen: Pen) -> None:
    pen.groups(group(STAFF, member(ANNA)), full=True)
    with pen.database.write() as connection:
        for table in (groups, memberships, changes):
            connection.execute(delete(table))
    pen.full_round(Stream.GROUPS, [group(STAFF, member(ANNA))])
    assert (pen.group_row(STAFF) is not None, pen.edges()) == (True, {(STAFF, ANNA)})


def test_a_group_of_thousands_is_read_page_by_page(pen: Pen) -> None:
    people = [guid(f"person {number}") for number in range(1_500)]
    pages = [[group(STAFF, *map(member, people[start : start + 300]))] for start in range(0, 1_500, 300)]
    assert pen.full_round(Stream.GROUPS, *pages).added == 1_501
    assert pen.full_round(Stream.GROUPS, *pages[:2]).removed == 900
