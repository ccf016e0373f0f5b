"""Any groups in groups, any people, any scope, any changes: the book has exactly whom a plain search finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from common.db import tenants
from common.db.engine import Database
from common.db.tables import rechecks
from common.graph.answers import GraphNotFoundError
from common.graph.client import DeltaPage
from common.messages import Stream
from common.scope import Scope, read_condition
from tests.support.bench import Bench
from tests.support.book import Book, add_tenant, guid
from tests.support.limits import CONDITIONS
from tests.support.pen import Pen, gone, group, member, person
from tests.support.scripted_graph import ScriptedGraph, page

EXAMPLES = 60
QUIET_TURNS = 20
PEOPLE = [guid(f"person {number}") for number in range(5)]
GROUPS = [guid(f"group {number}") for number in range(5)]
OTHERS = [guid("a device"), guid("nobody knows it")]
KINDS = {**dict.fromkeys(PEOPLE, "user"), **dict.fromkeys(GROUPS, "group"), OTHERS[0]: "device", OTHERS[1]: "user"}
Edge = tuple[str, str]
Change = Callable[["Company"], None]

PERSON, GROUP = st.sampled_from(PEOPLE), st.sampled_from(GROUPS)
EDGE = st.tuples(GROUP, st.sampled_from(list(KINDS)))
ATTRIBUTES = {
    "department": st.sampled_from(["Sales", "SALES", "Board", None]),
    "userType": st.sampled_from(["Member", "Guest", None]),
    "accountEnabled": st.sampled_from([True, False, None]),
}
SCOPE = st.tuples(
    st.lists(st.sampled_from([*GROUPS, guid("no group")]), unique=True, min_size=1, max_size=2) | st.just([]),
    st.sampled_from([None, None, *CONDITIONS]),
)
WHAT = st.one_of(*(st.tuples(st.just(name), values) for name, values in ATTRIBUTES.items()))
CHANGES = st.one_of(
    st.builds(lambda edge: lambda company: company.join(edge), EDGE),
    st.builds(lambda number: lambda company: company.part(number), st.integers(0, 20)),
    st.builds(lambda one, what: lambda company: company.change(one, *what), PERSON, WHAT),
    st.builds(lambda one: lambda company: company.leave_or_come(one), PERSON),
    st.builds(lambda one: lambda company: company.remove_or_make(one), GROUP),
    st.builds(lambda scope: lambda company: company.limit(*scope), SCOPE),
)


@dataclass
class Company:
    """A directory as plain data, and a worker that is told of it entry by entry."""

    bench: Bench
    people: dict[str, dict[str, Any]]
    edges: set[Edge]
    group_ids: list[str]
    condition: str | None
    groups: set[str] = field(default_factory=lambda: set(GROUPS))
    news: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        graph = self.bench.graph
        graph.on(ScriptedGraph.FIRST, lambda: page(*map(self._entry, self.people), end="live"))
        graph.on("live", self._latest)
        for one in KINDS:
            graph.on(f"users/{one}", partial(self._read, one))
        self.bench.book.tenant(removal_limit_count=1_000)
        self.limit(self.group_ids, self.condition)
        self._groups_say(*map(self._group, sorted(self.groups)))

    # What may happen

    def join(self, edge: Edge) -> None:
        if edge[0] in self.groups:
            self.edges.add(edge)
            self._groups_say({"id": edge[0], "members@delta": [member(edge[1], KINDS[edge[1]])]})

    def part(self, number: int) -> None:
        if self.edges:
            edge = sorted(self.edges)[number % len(self.edges)]
            self.edges.remove(edge)
            removed = member(edge[1], KINDS[edge[1]], **{"@removed": {"reason": "deleted"}})
            self._groups_say({"id": edge[0], "members@delta": [removed]})

    def change(self, one: str, name: str, value: object) -> None:
        if one in self.people:
            self.people[one][name] = value
            self.news.append({"id": one, name: value})

    def leave_or_come(self, one: str) -> None:
        if self.people.pop(one, None) is not None:
            self.news.append(gone(one))
            return
        self.people[one] = {}
        self.news.append(self._entry(one))

    def remove_or_make(self, group_id: str) -> None:
        if group_id in self.groups:
            self.groups.remove(group_id)
            self.edges = {edge for edge in self.edges if edge[0] != group_id}
            self._groups_say(gone(group_id))
            return
        self.groups.add(group_id)
        self._groups_say(self._group(group_id))

    def limit(self, group_ids: list[str], condition: str | None) -> None:
        self.group_ids, self.condition = group_ids, condition
        with self.bench.book.database.write() as connection:
            assert tenants.change_scope(connection, self.bench.book.tenant_id, self._scope(), datetime.now(UTC))

    # What comes of it

    def settle(self) -> None:
        """Let the people's stream have its turns until nothing is to be read any more."""
        mine = rechecks.c.tenant_id == self.bench.book.tenant_id
        for _ in range(QUIET_TURNS):
            with self.bench.book.database.write() as connection:
                connection.execute(delete(rechecks).where(mine, rechecks.c.stream == Stream.GROUPS))
                connection.execute(update(rechecks).where(mine).values(due_at=datetime.now(UTC)))
            self.bench.advance()
            with self.bench.book.database.read() as connection:
                if connection.execute(select(rechecks).where(mine)).first() is None and not self.news:
                    return
        raise AssertionError("it does not come to rest")

    def expected(self) -> set[str]:
        """Go from group to group, and look at each person."""
        reached, waiting = set(self.group_ids) & self.groups, list(set(self.group_ids) & self.groups)
        while waiting:
            one = waiting.pop()
            new = {member_id for group_id, member_id in self.edges if group_id == one} - reached
            reached |= new
            waiting += new & self.groups
        return {
            one
            for one, said in self.people.items()
            if (not self.group_ids or one in reached) and (self.condition is None or CONDITIONS[self.condition](said))
        }

    def _scope(self) -> Scope:
        return Scope(tuple(self.group_ids), None if self.condition is None else read_condition(self.condition))

    def _groups_say(self, *entries: dict[str, Any]) -> None:
        Pen(self.bench.book, scope=self._scope()).groups(*entries)

    def _group(self, group_id: str) -> dict[str, Any]:
        return group(group_id, *(member(one, KINDS[one]) for of, one in sorted(self.edges) if of == group_id))

    def _entry(self, one: str) -> dict[str, Any]:
        """Of what was never set Graph says nothing."""
        return person(one, **{name: value for name, value in self.people[one].items() if value is not None})

    def _latest(self) -> DeltaPage:
        told, self.news = self.news, []
        return page(*told, end="live")

    def _read(self, one: str) -> dict[str, Any]:
        if one not in self.people:
            raise GraphNotFoundError("Graph answered 404.")
        return self._entry(one)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database.from_url(database_url)
    yield found
    found.close()


@pytest.mark.timeout(240)
def test_the_book_has_exactly_whom_a_plain_search_finds(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count()

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        people=st.fixed_dictionaries(dict.fromkeys(PEOPLE, st.fixed_dictionaries(ATTRIBUTES))),
        edges=st.sets(EDGE, min_size=6, max_size=15),
        scope=SCOPE,
        changes=st.lists(st.lists(CHANGES, min_size=1, max_size=2), min_size=3, max_size=6),
        reads_limit=st.sampled_from([0, 500]),
    )
    def any_company(
        people: dict[str, dict[str, Any]],
        edges: set[Edge],
        scope: tuple[list[str], str | None],
        changes: list[list[Change]],
        reads_limit: int,
    ) -> None:
        monkeypatch.setattr("worker.reach.READS_LIMIT", reads_limit)
        with database.write() as connection:
            tenant_id = add_tenant(connection, f"Company {next(numbers)}", None)
        company = Company(Bench(Book(database, tenant_id)), people, edges, *scope)
        company.settle()
        assert company.bench.people() == company.expected()
        for together in changes:
            for change in together:
                change(company)
            company.settle()
            assert company.bench.people() == company.expected()

    any_company()
