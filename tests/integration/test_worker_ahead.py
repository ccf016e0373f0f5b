"""Pages of a full round that are fetched while the one before them is written."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event

from common.graph.answers import GraphUnavailableError
from common.graph.client import DeltaPage
from tests.support.bench import Bench
from tests.support.book import book, guid
from tests.support.eventually import eventually
from tests.support.pen import gone, person
from tests.support.scripted_graph import ScriptedGraph, page

ANNA, BERT, CLEO = (guid(name) for name in ("anna", "bert", "cleo"))
FIRST = ScriptedGraph.FIRST


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    with book(database_url) as found, ThreadPoolExecutor(1) as executor:
        yield Bench(found, executor=executor)


def test_a_page_is_fetched_while_the_one_before_it_is_written(bench: Bench) -> None:
    asked = threading.Event()
    were_asked: list[bool] = []

    def second() -> DeltaPage:
        asked.set()
        return page(person(BERT), end="born")

    def in_the_transaction(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO contacts" in statement:
            were_asked.append(asked.wait(30))

    bench.graph.on(FIRST, page(person(ANNA), then="second"))
    bench.graph.on("second", second)
    bench.graph.on("born", page(end="live"))
    event.listen(bench.book.database.engine, "after_cursor_execute", in_the_transaction)
    bench.advance()
    assert were_asked == [True, True]
    assert bench.graph.asked == [FIRST, "second", "born"]
    assert bench.people() == {ANNA, BERT}


def test_what_was_read_is_committed_while_the_next_page_is_waited_for(bench: Bench) -> None:
    def second() -> DeltaPage:
        eventually(lambda: bench.people() == {ANNA})
        with bench.book.database.write():  # nobody holds SQLite's write lock
            return page(person(BERT), end="born")

    bench.graph.on(FIRST, page(person(ANNA), then="second"))
    bench.graph.on("second", second)
    bench.graph.on("born", page(end="live"))
    bench.advance()
    assert bench.people() == {ANNA, BERT}


def test_a_page_that_cannot_be_fetched_costs_nothing_of_the_one_before_it(bench: Bench) -> None:
    down = GraphUnavailableError("Graph answered 503.")
    bench.graph.on(FIRST, page(person(ANNA), then="second"))
    bench.graph.on("second", down, page(person(BERT), end="born"))
    bench.graph.on("born", page(end="live"))
    with pytest.raises(GraphUnavailableError):
        bench.advance()
    assert bench.people() == {ANNA}
    assert bench.row()["full_link"] == "second"
    bench.advance()
    assert bench.people() == {ANNA, BERT}


def test_what_was_fetched_before_somebody_was_served_is_not_written_after_that(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.graph.on(FIRST, page(person(ANNA), person(BERT), end="born"))
    bench.graph.on("born", page(end="live"))
    bench.advance()
    monkeypatch.setattr("worker.rounds.GIVE_WAY_SECONDS", 0.0)
    bench.interrupted = True
    bench.graph.on("live", page(end="live"), page(gone(BERT), end="later"))  # he leaves during the full round
    bench.graph.on(FIRST, page(person(ANNA), then="second"))
    bench.graph.on("second", page(person(BERT), person(CLEO), end="new"), page(person(CLEO), end="new"))
    bench.graph.on("later", page(end="later"))
    bench.graph.on("new", page(end="new"))
    bench.graph.asked.clear()
    bench.advance(bench.resync("r1"))
    assert bench.graph.asked.count("second") == 2  # ahead, and once more
    assert bench.people() == {ANNA, CLEO}
    assert "contact.added" not in [one["kind"] for one in bench.changes() if one["object_id"] == BERT][1:]
