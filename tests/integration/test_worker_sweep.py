"""How the sweeps of a full round go through SQLite's file: as the rows lie, unless few of them are the tenant's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from common.db.migrations import upgrade
from common.messages import Stream
from tests.support.book import Book, add_tenant, book, guid
from tests.support.pen import Pen, group, member, person

FEW = [f"few {number}" for number in range(3)]
MANY = [f"many {number}" for number in range(40)]


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Pen, Pen]]:
    """One file with two tenants: of three people in three groups, and of forty in forty."""
    upgrade(url := f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with book(url) as small:
        with small.database.write() as connection:
            add_tenant(connection, "Fabrikam", None)
        large = Book(small.database, guid("Fabrikam"))
        pens = Pen(small), Pen(large)
        for pen, names in zip(pens, (FEW, MANY), strict=True):
            read(pen, names)
        yield pens


def read(pen: Pen, names: list[str]) -> None:
    """Full rounds that show so many people, and as many groups of one member each."""
    pen.full_round(Stream.USERS, [person(guid(name)) for name in names])
    pen.full_round(Stream.GROUPS, [group(guid(f"group of {name}"), member(guid(name))) for name in names])


@contextmanager
def ways(pen: Pen) -> Iterator[dict[str, set[str]]]:
    """Collect the ways that SQLite takes to the rows of a table whose generation is asked for, by table."""
    asked: list[tuple[str, Any]] = []
    event.listen(pen.database.engine, "before_cursor_execute", lambda *said: asked.append(said[2:4]))
    found: dict[str, set[str]] = {}
    yield found
    with pen.database.read() as connection:
        for statement, parameters in [one for one in asked if ".generation < ?" in one[0]]:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            first = next(step.detail for step in plan if step.detail.startswith(("SCAN", "SEARCH")))
            way, table = first.split()[:2]
            found.setdefault(table, set()).add(way)


@pytest.mark.parametrize(("which", "way"), [(0, "SEARCH"), (1, "SCAN")])
def test_a_sweep_reads_rows_as_they_lie_where_many_are_the_tenants(both: tuple[Pen, Pen], which: int, way: str) -> None:
    pen, names = both[which], (FEW, MANY)[which]

    with ways(pen) as found:
        read(pen, names)

    assert found == {table: {way} for table in ("contacts", "groups", "memberships")}


@pytest.mark.parametrize("which", [0, 1])
def test_a_sweep_removes_from_the_one_book_only(both: tuple[Pen, Pen], which: int) -> None:
    pen, other = both[which], both[1 - which]
    names, others = (FEW, MANY)[which], (FEW, MANY)[1 - which]

    read(pen, names[1:])

    assert pen.people() == {guid(name) for name in names[1:]}
    assert pen.edges() == {(guid(f"group of {name}"), guid(name)) for name in names[1:]}
    assert other.people() == {guid(name) for name in others}
    assert other.edges() == {(guid(f"group of {name}"), guid(name)) for name in others}
