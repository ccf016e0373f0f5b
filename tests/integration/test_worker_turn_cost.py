"""What the smallest turn asks of the database: it is what an installation of many tenants does all day."""

from collections import Counter

from sqlalchemy import event

from tests.support.bench import Bench
from tests.support.book import book, guid
from tests.support.pen import person
from tests.support.scripted_graph import ScriptedGraph, page

ANNA = guid("anna")


def asked(bench: Bench) -> Counter[str]:
    """Take a turn, and count its statements by their first word, and its transactions."""
    counts: Counter[str] = Counter()
    engine = bench.book.database.engine

    def count_statement(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        counts[statement.split(maxsplit=1)[0]] += 1

    def count_commit(_connection: object) -> None:
        counts["transactions"] += 1

    event.listen(engine, "before_cursor_execute", count_statement)
    event.listen(engine, "commit", count_commit)
    try:
        bench.advance()
    finally:
        event.remove(engine, "before_cursor_execute", count_statement)
        event.remove(engine, "commit", count_commit)
    return counts


def test_a_turn_asks_the_database_little_when_there_is_little_to_do(database_url: str) -> None:
    with book(database_url) as found:
        bench = Bench(found)
        bench.graph.on(ScriptedGraph.FIRST, page(person(ANNA), end="born"))
        bench.graph.on("born", page(end="live"))
        bench.advance()

        bench.graph.on("live", page(person(ANNA, displayName="Anna Nowak"), end="live 2"))
        one_change = asked(bench)
        assert [change["kind"] for change in bench.changes()] == ["contact.added", "contact.changed"]
        bench.graph.on("live 2", page(end="live 3"))
        nothing = asked(bench)

        # One transaction before Graph is asked, which takes the lease, and one after it, which lets go of it.
        assert one_change["transactions"] == 2
        assert one_change["SELECT"] + one_change["UPDATE"] + one_change["INSERT"] <= 12
        assert nothing["transactions"] == 2
        assert nothing["SELECT"] + nothing["UPDATE"] + nothing["INSERT"] <= 8
