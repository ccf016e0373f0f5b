"""Who comes into the book and leaves it when not everybody is in the tenant's scope, rule by rule."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from common.db import tenants
from common.db.tables import metadata, rechecks
from common.db.tenants import RemovalLimit
from common.graph.answers import GraphUnavailableError
from common.messages import Reason, Stream
from common.scope import Scope, read_condition
from tests.support.bench import Bench
from tests.support.book import Book, book, guid
from tests.support.pen import Pen, gone, group, member, person
from tests.support.scripted_graph import page

ANNA, BEN, SALES, BOARD = guid("anna"), guid("ben"), guid("sales"), guid("board")
IN_SALES = Scope((), read_condition('department = "Sales"'))
IN_GROUP = Scope((SALES,))


@pytest.fixture
def found(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


def limited(made: Book, scope: Scope) -> Bench:
    """A worker at the tenant with that scope, whose groups have been read: Board, and in it Ben, is in Sales."""
    bench = Bench(made)
    pen = bench.pen
    pen.groups(group(SALES, member(ANNA), member(BOARD, "group"), name="Sales"), group(BOARD, member(BEN)))
    change(made, scope)
    for one, entry in people().items():
        bench.graph.on(f"users/{one}", entry)
    bench.graph.on("first", page(*people().values(), end="users-1"))
    bench.graph.on("users-1", page(end="users-1"))
    bench.advance()
    return bench


def people(**changed: Any) -> dict[str, dict[str, Any]]:
    return {one: person(one, displayName=f"Marked {one[:4]}", department="Sales", **changed) for one in (ANNA, BEN)}


def change(made: Book, scope: Scope) -> None:
    with made.database.write() as connection:
        assert tenants.change_scope(connection, made.tenant_id, scope, made.database.now(connection))


def groups_say(bench: Bench, *entries: dict[str, Any]) -> None:
    """A page of the groups' stream, with what the worker has to know of the scope."""
    pen = Pen(bench.book, scope=IN_GROUP)
    pen.groups(*entries)


def reasons(bench: Bench, kind: str) -> list[tuple[str, str]]:
    return [(row["object_id"], row["reason"]) for row in bench.changes() if row["kind"] == kind]


def test_of_who_is_outside_nothing_but_the_id_is_stored(found: Book) -> None:
    bench = limited(found, Scope((), read_condition('department = "Board"')))

    assert bench.people() == set()
    with found.database.read() as connection:
        for table in metadata.sorted_tables:
            assert "Marked" not in str(connection.execute(select(table)).all()), table.name


def test_groups_reach_people_through_groups_in_them(found: Book) -> None:
    assert limited(found, IN_GROUP).people() == {ANNA, BEN}


def test_who_leaves_the_groups_leaves_the_book_and_who_comes_into_them_is_read(found: Book) -> None:
    bench = limited(found, IN_GROUP)

    groups_say(bench, {"id": SALES, "members@delta": [member(BOARD, "group", **{"@removed": {"reason": "deleted"}})]})
    bench.advance()

    assert bench.people() == {ANNA}
    assert reasons(bench, "contact.removed") == [(BEN, Reason.OUT_OF_SCOPE)]

    groups_say(bench, {"id": SALES, "members@delta": [member(BEN)]})
    bench.advance()  # notes that he is to be read
    assert bench.people() == {ANNA}
    assert BEN in bench.due()


def test_an_emptied_group_is_held_by_the_removal_guard(found: Book) -> None:
    bench = limited(found, IN_GROUP)
    found.tenant(removal_limit_count=0, removal_limit_percent=0)

    groups_say(bench, gone(SALES))
    bench.advance()

    assert bench.people() == {ANNA, BEN}
    assert set(bench.pen.held()) == {ANNA, BEN}


def test_who_is_outside_a_changed_scope_leaves_unheld_in_a_full_round_of_its_own(found: Book) -> None:
    bench = limited(found, IN_GROUP)
    found.tenant(removal_limit_count=0, removal_limit_percent=0)
    change(found, Scope((BOARD,)))

    bench.advance()

    assert bench.people() == {BEN}
    assert bench.pen.held() == {}
    assert reasons(bench, "contact.removed") == [(ANNA, Reason.RESCOPED)]
    assert bench.history()[-1]["reason"] == Reason.SCOPE_CHANGED


def test_of_an_attribute_that_an_entry_does_not_mention_the_person_is_asked(found: Book) -> None:
    bench = limited(found, IN_SALES)
    pen = Pen(found, scope=IN_SALES)

    pen.users({"id": ANNA, "surname": "Nowak"})
    assert bench.people() == {ANNA, BEN}
    assert (Stream.USERS, ANNA, "object") in pen.noted()

    pen.users({"id": ANNA, "department": "Board"})
    assert bench.people() == {BEN}
    assert reasons(bench, "contact.removed") == [(ANNA, Reason.OUT_OF_SCOPE)]


def test_a_stranger_of_whom_the_deciding_attribute_is_not_said_is_asked_and_not_guessed(found: Book) -> None:
    pen = Pen(found, scope=IN_SALES)

    pen.users(person(ANNA), person(BEN, department="Board"))

    assert pen.people() == set()
    assert pen.noted() == {(Stream.USERS, ANNA, "object")}


def test_too_many_who_lose_the_attribute_are_held(found: Book) -> None:
    bench = limited(found, IN_SALES)
    pen = Pen(found, scope=IN_SALES, removal_limit=RemovalLimit(1, 0))

    pen.users({"id": ANNA, "department": None}, {"id": BEN, "department": None})
    assert bench.people() == {ANNA, BEN}
    assert set(pen.held()) == {ANNA, BEN}

    pen.users({"id": ANNA, "department": "Sales"}, {"id": BEN, "department": "sales"})
    assert pen.held() == {}


def test_without_a_scope_again_everybody_is_read(found: Book) -> None:
    bench = limited(found, Scope((guid("no group"),)))
    assert bench.people() == set()

    change(found, Scope())
    bench.advance()

    assert bench.people() == {ANNA, BEN}


def test_a_full_round_that_began_before_the_scope_was_changed_tells_nothing_of_attributes_it_never_asked_for(
    found: Book,
) -> None:
    bench = limited(found, Scope())
    found.tenant(removal_limit_count=0, removal_limit_percent=0)
    bare = people()
    for entry in bare.values():
        del entry["department"]
    bench.graph.on("users-1", page(end="users-1"))
    bench.graph.on("first", page(bare[ANNA], then="old-2"), page(*people().values(), end="users-2"))
    bench.graph.on("old-2", page(bare[BEN], end="old-3"))
    bench.graph.on("old-3", page(end="old-3"))
    bench.graph.on("users-2", page(end="users-2"))
    bench.stopping = True
    bench.advance(bench.resync("r1"))
    assert bench.row()["full_link"] == "old-2"
    bench.stopping = False

    change(found, IN_SALES)
    bench.advance()

    assert bench.people() == {ANNA, BEN}
    assert reasons(bench, "contact.removed") == []
    assert bench.history()[-1]["request_ids"] == ["r1"]


def test_more_people_than_are_read_one_by_one_are_read_in_a_full_round_at_once(
    found: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = limited(found, Scope((BOARD,)))
    assert bench.people() == {BEN}
    monkeypatch.setattr("worker.reach.READS_LIMIT", 0)

    Pen(found, scope=Scope((BOARD,))).groups({"id": BOARD, "members@delta": [member(ANNA)]})
    bench.advance()

    assert bench.people() == {ANNA, BEN}


def test_one_object_that_cannot_be_read_does_not_keep_the_reach_from_being_followed(found: Book) -> None:
    bench = limited(found, IN_GROUP)
    bench.graph.on(f"users/{ANNA}", GraphUnavailableError("Graph answered 500."))
    Pen(found, scope=IN_GROUP).users({"id": ANNA, "surname": "Nowak"})
    with found.database.write() as connection:
        connection.execute(update(rechecks).values(due_at=found.database.now(connection)))

    groups_say(bench, {"id": SALES, "members@delta": [member(BOARD, "group", **{"@removed": {"reason": "deleted"}})]})
    with pytest.raises(GraphUnavailableError):
        bench.advance()

    assert bench.people() == {ANNA}


@pytest.mark.parametrize("department", ["Board", None])
def test_who_is_removed_and_back_on_one_page_does_not_pass_the_removal_guard(
    found: Book, department: str | None
) -> None:
    bench = limited(found, IN_SALES)
    pen = Pen(found, scope=IN_SALES, removal_limit=RemovalLimit(0, 0))
    said = {} if department is None else {"department": department}

    pen.users(gone(ANNA), person(ANNA, **said))

    assert bench.people() == {ANNA, BEN}


def test_a_full_round_that_was_asked_for_when_the_scope_was_changed_lets_people_leave_unheld(found: Book) -> None:
    bench = limited(found, IN_GROUP)
    found.tenant(removal_limit_count=0, removal_limit_percent=0)

    change(found, Scope((BOARD,)))
    bench.advance(bench.resync("r1"))

    assert bench.people() == {BEN}
    assert bench.pen.held() == {}
