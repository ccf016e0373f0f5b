"""Through which groups somebody is in a group, compared with all ways there are in random graphs with circles."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from common.db.tables import groups, memberships
from console.reads.group_paths import paths_of
from tests.support.book import Book, guid, lent_book
from tests.support.fuzzing import fuzz

ANNA = guid("Anna")
NAMES = "ABCDEF"
UNKNOWN = "F"
"""A group of which there are edges, while it is not in the book."""
Edges = set[tuple[str, str]]

nodes = st.sampled_from(NAMES)
graphs = st.tuples(st.sets(nodes), st.sets(st.tuples(nodes, nodes)))
"""The groups that have Anna as a direct member, and the edges: (group, the group that is a member of it)."""


@pytest.fixture(scope="module")
def contoso(shared_database_url: str) -> Iterator[Book]:
    with lent_book(shared_database_url) as made:
        yield made


def write(book: Book, direct: set[str], nested: Edges) -> None:
    edges = [(group, "user", ANNA) for group in direct] + [(outer, "group", guid(inner)) for outer, inner in nested]
    with book.database.write() as connection:
        connection.execute(delete(memberships))
        connection.execute(delete(groups))
        own = {"tenant_id": book.tenant_id, "generation": 1}
        known = [name for name in NAMES if name != UNKNOWN]
        connection.execute(insert(groups), [{**own, "object_id": guid(name), "display_name": name} for name in known])
        rows = [{**own, "group_id": guid(name), "member_type": kind, "member_id": held} for name, kind, held in edges]
        if rows:
            connection.execute(insert(memberships), rows)


def all_ways(direct: set[str], nested: Edges) -> set[tuple[str, ...]]:
    """Every way into a group that meets no group twice: the group first, the one with the direct member last."""
    found: set[tuple[str, ...]] = set()
    longer = {(name,) for name in direct if name != UNKNOWN}
    while longer:
        found |= longer
        longer = {
            (outer, *way)
            for way in longer
            for outer, inner in nested
            if inner == way[0] and outer != UNKNOWN and outer not in way
        }
    return found


@fuzz(cost=2)
@given(graph=graphs)
def test_each_group_is_found_once_by_a_shortest_way(contoso: Book, graph: tuple[set[str], Edges]) -> None:
    direct, nested = graph
    write(contoso, direct, nested)
    ways = all_ways(direct, nested)
    shortest: dict[str, int] = {}
    for way in ways:
        shortest[way[0]] = min(len(way), shortest.get(way[0], len(way)))

    with contoso.database.read() as connection:
        paths = paths_of(connection, contoso.tenant_id, ANNA)
    found = [tuple(str(team.display_name) for team in path.teams) for path in paths]

    assert {way[0]: len(way) for way in found} == shortest
    assert len(found) == len(shortest)
    assert set(found) <= ways
    assert found == sorted(found, key=lambda way: (len(way), way[0]))
    assert [path.is_direct for path in paths] == [len(way) == 1 for way in found]


def test_a_ring_of_more_groups_than_a_query_takes_is_met_whole(contoso: Book) -> None:
    ids = [guid(f"many {number}") for number in range(1_200)]
    write(contoso, set(), set())
    contoso.group("Top", object_id=guid("top"))
    with contoso.database.write() as connection:
        own = {"tenant_id": contoso.tenant_id, "generation": 1}
        connection.execute(insert(groups), [{**own, "object_id": one, "display_name": one} for one in ids])
        for kind, pairs in (("user", [(one, ANNA) for one in ids]), ("group", [(guid("top"), one) for one in ids])):
            rows = [{**own, "group_id": group, "member_type": kind, "member_id": held} for group, held in pairs]
            connection.execute(insert(memberships), rows)

    with contoso.database.read() as connection:
        paths = paths_of(connection, contoso.tenant_id, ANNA)

    assert [path.team.object_id for path in paths] == [*sorted(ids), guid("top")]
    assert [team.display_name for team in paths[-1].teams] == ["Top", min(ids)]


def test_groups_of_another_tenant_are_no_way(contoso: Book) -> None:
    write(contoso, {"A"}, {("B", "A")})

    with contoso.database.read() as connection:
        assert paths_of(connection, guid("another tenant"), ANNA) == []
