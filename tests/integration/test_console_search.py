"""Search for a part of a text, compared with an oracle: the same letter by letter on both databases, however found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, event, insert

from common.db.migrations import upgrade
from common.db.tables import contacts
from console.reads import letters, people, scan
from console.reads.people import Filter
from tests.support.book import Book, add_tenant, book, guid, lent_book
from tests.support.fuzzing import fuzz

ALPHABET = (
    "abikszABIKSZ łŁéÉ日İ\N{LATIN SMALL LETTER DOTLESS I}K\N{LATIN SMALL LETTER LONG S}ßΣσς%_\\'\N{COMBINING DOT ABOVE}"
)
"""Letters that become others when they are made small, those others, and signs that mean something to LIKE."""
texts = st.text(ALPHABET, max_size=5)
needles = st.sampled_from(ALPHABET.replace(" ", "")) | st.text(ALPHABET.replace(" ", ""), min_size=1, max_size=3)
PLACES = ("display_name", "mail", "user_principal_name", "mobile_phone")


def small(text: str) -> str:
    """Each letter made small by itself; the dotted capital I as PostgreSQL does it."""
    return "".join("i" if letter == "İ" else letter.lower() for letter in text)


@pytest.fixture(scope="module")
def random_book(shared_database_url: str) -> Iterator[Book]:
    with lent_book(shared_database_url) as made:
        letters.teach(made.database)
        made.database.close()  # connections that were not taught
        with made.database.write() as connection:
            add_tenant(connection, "Fabrikam", None)
        yield made


@pytest.fixture(params=[2, 10_000], ids=["first_two_by_id", "all_by_id"])
def by_id(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many people are looked at in the order of their ids before all the others."""
    monkeypatch.setattr(scan, "BY_ID", request.param)


def write(book: Book, names: list[str], others: int = 0) -> list[str]:
    """Make people with these names, one in each place a text can be in; their ids in order."""
    ids = sorted(guid(str(number)) for number in range(len(names)))
    own = {"tenant_id": book.tenant_id, "generation": 1, "phone_state": "missing"}
    rows = [
        {**own, **dict.fromkeys(PLACES), "object_id": one, PLACES[place % len(PLACES)]: name}
        for place, (one, name) in enumerate(zip(ids, names, strict=True))
    ]
    fabrikam = [
        {**own, "tenant_id": guid("Fabrikam"), **dict.fromkeys(PLACES, names[0]), "object_id": guid(f"other {number}")}
        for number in range(others)
    ]
    with book.database.write() as connection:
        connection.execute(delete(contacts))
        connection.execute(insert(contacts), [*reversed(rows), *fabrikam])
    return ids


@pytest.mark.usefixtures("by_id")
@fuzz(cost=3)
@given(st.lists(texts, min_size=1, max_size=7), needles, st.sampled_from([1, 2, 99]), st.sampled_from([0, 40]))
def test_whoever_has_the_text_is_found_a_page_after_the_other(
    random_book: Book, names: list[str], needle: str, limit: int, others: int
) -> None:
    ids = write(random_book, names, others)
    wanted = Filter(random_book.tenant_id, None, search=needle)
    expected = [one for one, name in zip(ids, names, strict=True) if small(needle) in small(name)]

    found: list[str] = []
    with random_book.database.read() as connection:
        while page := people.page_by_id(connection, wanted, found[-1] if found else None, limit):
            found += [one.object_id for one in page]
        by_name = people.page(connection, wanted, 99)
        counted = people.count(connection, wanted)

    assert found == expected
    assert {one.object_id for one in by_name} == set(expected)
    assert counted == len(expected)


@fuzz(cost=3)
@given(st.lists(texts, min_size=1, max_size=7), needles)
def test_a_whole_address_is_the_same_in_any_case(random_book: Book, names: list[str], needle: str) -> None:
    ids = write(random_book, names)
    addresses = [name if place % len(PLACES) in (1, 2) else None for place, name in enumerate(names)]
    expected = [
        one for one, name in zip(ids, addresses, strict=True) if name is not None and small(name) == small(needle)
    ]

    with random_book.database.read() as connection:
        found = people.page_by_id(connection, Filter(random_book.tenant_id, None, mail=needle), None, 99)

    assert [one.object_id for one in found] == expected


@pytest.mark.parametrize(
    ("name", "typed"),
    [("İbrahim", "ibrahim"), ("İBRAHİM", "ibrahim"), ("Łukasz", "łUK"), ("ΓΙΩΡΓΟΣ", "γιωργοσ"), ("Kelvin", "kel")],
)
def test_somebody_is_found_by_a_name_in_small_letters(random_book: Book, name: str, typed: str) -> None:
    [anybody] = write(random_book, [name])

    with random_book.database.read() as connection:
        found = people.find(connection, random_book.tenant_id, typed, region="PL", limit=9)

    assert [one.object_id for one in found] == [anybody]


@pytest.mark.parametrize(("others", "way"), [(0, "SCAN contacts"), (40, "SEARCH contacts USING INDEX")])
def test_sqlite_reads_a_book_as_it_lies_unless_it_is_a_small_part_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int, way: str
) -> None:
    monkeypatch.setattr(scan, "BY_ID", 1)
    upgrade(url := f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with book(url) as made, made.database.write() as connection:
        add_tenant(connection, "Fabrikam", None)
    with book(url) as made:
        letters.teach(made.database)
        write(made, ["Anna", "Ben", "Cleo"], others)
        asked: list[tuple[str, Any]] = []
        event.listen(made.database.engine, "before_cursor_execute", lambda *said: asked.append(said[2:4]))
        with made.database.read() as connection:
            people.page_by_id(connection, Filter(made.tenant_id, None, search="nobody"), None, 9)
            statement, parameters = asked[-1]
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()

    assert plan[0].detail.startswith(way)
