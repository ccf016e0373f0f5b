"""The verdict of a chaos run finds what is lost, wrongly removed or stayed."""

from typing import Any

from deploy.local.comparison import Book
from tests.chaos.verdict import Removal, Verdict, verdict

ANNA, BERND = "anna", "bernd"


def book(*people: str, phone: str = "1", groups: tuple[str, ...] = (), edges: tuple[tuple[str, str], ...] = ()) -> Book:
    return Book(dict.fromkeys(people, (phone,)), {one: (one,) for one in groups}, frozenset(edges))


def change(object_id: str, kind: str, at: float = 0.0, *, acknowledged: bool = True) -> dict[str, Any]:
    return {"object_id": object_id, "kind": kind, "at": at, "acknowledged": acknowledged}


def added(object_id: str, at: float) -> Removal:
    return Removal(object_id, at, removed=False)


def removed(object_id: str, at: float) -> Removal:
    return Removal(object_id, at, removed=True)


def judged(expected: Book, actual: Book, log: list[dict[str, Any]], *feed: Removal) -> Verdict:
    return verdict(expected, actual, log, feed, {ANNA, BERND})


def test_equal_books_and_founded_removals_are_clean() -> None:
    log = [change(ANNA, "user.removed", 5), change("new", "user.created", 6), change("new", "user.purged", 8)]
    feed = [added(ANNA, 1), removed(ANNA, 5.5), added("new", 7), removed("new", 9)]
    assert judged(book(BERND), book(BERND), log, *feed).is_clean


def test_a_difference_whose_latest_change_was_acknowledged_is_lost() -> None:
    log = [change(ANNA, "user.number_changed", acknowledged=False), change(ANNA, "user.number_changed")]
    found = judged(book(ANNA), book(ANNA, phone="2"), log)
    assert (found.differing, found.lost) == ([ANNA], [ANNA])
    assert not found.is_clean


def test_a_difference_that_nobody_was_told_of_is_not_lost_but_differs() -> None:
    log = [change(ANNA, "user.number_changed"), change(ANNA, "user.number_changed", acknowledged=False)]
    found = judged(book(ANNA), book(ANNA, phone="2"), log)
    assert (found.differing, found.lost) == ([ANNA], [])
    assert not found.is_clean


def test_an_edge_that_differs_makes_its_group_differ() -> None:
    log = [change("team", "member.added")]
    found = judged(book(ANNA, groups=("team",), edges=(("team", ANNA),)), book(ANNA, groups=("team",)), log)
    assert found.lost == ["team"]


def test_a_removal_of_somebody_who_was_never_removed_is_wrong_even_if_they_are_back() -> None:
    assert judged(book(ANNA), book(ANNA), [], added(ANNA, 1), removed(ANNA, 2), added(ANNA, 3)).wrongly_removed == [
        ANNA
    ]


def test_a_removal_before_the_directory_removed_is_wrong() -> None:
    log = [change(ANNA, "user.removed", 5)]
    assert judged(book(), book(), log, added(ANNA, 1), removed(ANNA, 4)).wrongly_removed == [ANNA]


def test_a_removal_that_comes_late_after_the_person_was_restored_is_not_wrong_but_a_second_one_is() -> None:
    log = [change(ANNA, "user.removed", 5), change(ANNA, "user.restored", 6)]
    late = [added(ANNA, 1), removed(ANNA, 7), added(ANNA, 8)]
    assert judged(book(ANNA), book(ANNA), log, *late).is_clean
    assert judged(book(ANNA), book(ANNA), log, *late, removed(ANNA, 9), added(ANNA, 10)).wrongly_removed == [ANNA]


def test_whoever_is_missing_at_the_end_is_wrongly_removed() -> None:
    assert judged(book(ANNA), book(), []).wrongly_removed == [ANNA]


def test_whoever_is_left_in_the_book_stayed() -> None:
    assert judged(book(), book(ANNA, groups=("team",)), []).stayed == [ANNA, "team"]


def test_a_contact_that_the_directory_never_had_stayed_even_if_it_was_removed_again() -> None:
    found = judged(book(), book(), [], added("nobody", 1), removed("nobody", 2))
    assert found.stayed == ["nobody"]


def test_somebody_who_was_in_the_recycle_bin_from_the_beginning_may_come_and_go() -> None:
    log = [change("old", "user.restored", 5), change("old", "user.removed", 9)]
    assert judged(book(), book(), log, added("old", 6), removed("old", 10)).is_clean
    assert judged(book(), book(), log, added("old", 6), removed("old", 8)).wrongly_removed == ["old"]
