"""Objects with a property of an unknown shape: they hold up nobody, lose nothing, and are read themselves."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from common.clock import utc_now
from common.db.tables import rechecks
from common.messages import Stream
from tests.support.bench import Bench
from tests.support.book import book, guid
from tests.support.pen import group, member, person
from tests.support.scripted_graph import ScriptedGraph, page

ANNA, BERT, CLEO, DORA, STAFF, BOARD = (guid(name) for name in ("anna", "bert", "cleo", "dora", "staff", "board"))
FIRST = ScriptedGraph.FIRST
NONSENSE = {"value": "of a person"}


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    """Anna and Bert are in the book, and Staff with both of them; each stream has been read up to `live`."""
    with book(database_url) as found:
        bench = Bench(found)
        bench.graph.on(FIRST, page(person(ANNA, surname="Nowak"), person(BERT), end="live"))
        bench.graph.on("live", page(end="live"))
        bench.advance()
        bench.graph.on(FIRST, page(group(STAFF, member(ANNA), member(BERT)), end="live"))
        bench.advance(stream=Stream.GROUPS)
        bench.graph.asked.clear()
        yield bench


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The lines that the reading of objects logs."""
    capture = LogCapture()
    monkeypatch.setattr("worker.rechecks.log", structlog.wrap_logger(structlog.ReturnLogger(), processors=[capture]))
    return capture.entries


def make_due(bench: Bench) -> None:
    """What is noted to be read may be read now."""
    with bench.book.database.write() as connection:
        connection.execute(rechecks.update().values(due_at=utc_now() - timedelta(seconds=1)))


def surname(bench: Bench, object_id: str) -> Any:
    contact = bench.pen.contact(object_id)
    assert contact is not None
    return contact["surname"]


# Delta


def test_a_malformed_person_does_not_hold_up_the_page_and_is_read_himself(bench: Bench) -> None:
    bench.graph.on("live", page(person(ANNA, surname=NONSENSE, mail="a@x.example"), person(CLEO), end="later"))
    bench.advance()
    assert bench.row()["delta_link"] == "later"
    assert bench.people() == {ANNA, BERT, CLEO}
    assert surname(bench, ANNA) == "Nowak"
    assert bench.pen.noted() == {("users", ANNA, "object")}

    bench.graph.on("later", page(end="later"))
    bench.graph.on(f"users/{ANNA}", person(ANNA, surname="Kot"))
    make_due(bench)
    bench.advance()
    assert surname(bench, ANNA) == "Kot"


def test_a_malformed_person_whom_nobody_knows_comes_into_the_book_when_he_is_read(bench: Bench) -> None:
    bench.graph.on("live", page(person(CLEO, accountEnabled="yes"), end="live"), page(end="live"))
    bench.advance()
    assert bench.people() == {ANNA, BERT}
    bench.graph.on(f"users/{CLEO}", person(CLEO))
    make_due(bench)
    bench.advance()
    assert bench.people() == {ANNA, BERT, CLEO}


def test_a_malformed_person_of_whom_the_book_holds_nothing_is_read_as_well(bench: Bench) -> None:
    bench.book.person(None, CLEO, account_enabled=None, user_type=None)
    bench.graph.on("live", page(person(CLEO, surname=5), end="live"))
    bench.advance()
    assert bench.pen.noted() == {("users", CLEO, "object")}


def test_a_full_round_removes_nobody_who_was_listed_but_malformed(bench: Bench) -> None:
    bench.graph.on(FIRST, page(person(ANNA, surname=5), end="live"))
    bench.advance(bench.resync())
    assert bench.people() == {ANNA}
    assert surname(bench, ANNA) == "Nowak"
    assert bench.pen.noted() == {("users", ANNA, "object")}


@pytest.mark.parametrize("wrong", [{"members@delta": [{"id": "nobody"}]}, {"displayName": 5}])
def test_a_full_round_removes_no_group_and_no_member_of_a_group_that_was_listed_but_malformed(
    bench: Bench, wrong: dict[str, Any]
) -> None:
    entry = group(STAFF, member(ANNA)) | wrong
    bench.graph.on(FIRST, page(entry, end="live"))
    bench.advance(bench.resync(stream=Stream.GROUPS))
    assert bench.pen.group_row(STAFF) is not None
    assert bench.pen.edges() == {(STAFF, ANNA), (STAFF, BERT)}
    assert bench.pen.noted() == {("groups", STAFF, "object"), ("groups", STAFF, "members")}

    bench.graph.on(f"groups/{STAFF}", {"id": STAFF, "displayName": "Personnel"})
    bench.graph.on(f"members/{STAFF}", [member(BERT), member(CLEO)])
    make_due(bench)
    bench.advance(stream=Stream.GROUPS)
    row = bench.pen.group_row(STAFF)
    assert row is not None
    assert row["display_name"] == "Personnel"
    assert bench.pen.edges() == {(STAFF, BERT), (STAFF, CLEO)}


# The objects themselves


def test_what_is_malformed_itself_stays_in_the_book_and_is_not_read_again(bench: Bench, said: list[Any]) -> None:
    bench.graph.on("live", page(person(ANNA, surname=5), {"id": BERT, "surname": "Kot"}, end="live"), page(end="live"))
    bench.advance()
    bench.graph.on(f"users/{ANNA}", person(ANNA, surname=NONSENSE, mail="new@x.example"))
    bench.graph.on(f"users/{BERT}", person(BERT, surname="Kot"))
    make_due(bench)
    bench.advance()
    assert surname(bench, ANNA) == "Nowak"
    assert bench.pen.noted() == set()
    [line] = said
    assert line["event"] == "object_malformed"
    assert (line["tenant"], line["object_id"], line["property"]) == (bench.book.tenant_id, ANNA, "surname")
    assert "of a person" not in str(line)


def test_a_malformed_members_list_leaves_the_members_and_is_not_read_again(bench: Bench, said: list[Any]) -> None:
    bench.graph.on("live", page({"id": STAFF, "members@delta": "all"}, end="live"), page(end="live"))
    bench.advance(stream=Stream.GROUPS)
    bench.graph.on(f"groups/{STAFF}", {"id": STAFF, "displayName": "Staff"})
    bench.graph.on(f"members/{STAFF}", [member(ANNA), {"id": 5}])
    make_due(bench)
    bench.advance(stream=Stream.GROUPS)
    assert bench.pen.edges() == {(STAFF, ANNA), (STAFF, BERT)}
    assert bench.pen.noted() == set()
    assert [(line["event"], line["property"]) for line in said] == [("object_malformed", "members")]


@pytest.mark.parametrize("answer", [{}, person(BERT, surname="Kot")])
def test_an_answer_that_is_not_about_the_object_holds_up_neither_the_others_nor_a_full_round(
    bench: Bench, answer: dict[str, Any]
) -> None:
    bench.graph.on("live", page(person(ANNA, surname=5), person(CLEO, surname=5), end="live"), page(end="live"))
    bench.advance()
    make_due(bench)
    bench.graph.on(f"users/{ANNA}", answer)
    bench.graph.on(f"users/{CLEO}", person(CLEO))
    bench.graph.on(FIRST, page(person(ANNA), person(BERT), person(CLEO), person(DORA), end="live"))
    bench.advance(bench.resync("r1"))
    assert bench.people() == {ANNA, BERT, CLEO, DORA}
    assert bench.history()[-1]["request_ids"] == ["r1"]
    assert surname(bench, BERT) is None
    assert bench.due()[ANNA] > utc_now()
