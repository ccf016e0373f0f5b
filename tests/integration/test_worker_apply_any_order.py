"""Whatever order pages come in, the rows say what a small model of the rules says, and the feed tells the same."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.book import guid, lent_book
from tests.support.pen import Entry, Pen, gone, member
from tests.support.replay import held, replayed

PEOPLE = [guid(name) for name in ("anna", "bert", "cleo")]
GROUPS = [guid(name) for name in ("staff", "board")]
COLUMNS = {"surname": "surname", "mail": "mail", "userPrincipalName": "user_principal_name"}
TEXTS = st.sampled_from(["a", "b", None])


@dataclass
class Model:
    """The rules: nothing is guessed, nothing is made of a part of somebody unknown.

    Who was removed and is back on one page is a new contact if the page tells him whole; if only a part, he stays.
    """

    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)
    edges: set[tuple[str, str]] = field(default_factory=set)

    def users(self, page: list[Entry]) -> None:
        for one in {entry["id"] for entry in page}:
            entries = [entry for entry in page if entry["id"] == one]
            removals = [number for number, entry in enumerate(entries) if "@removed" in entry]
            told = entries[removals[-1] + 1 :] if removals else entries
            part = {COLUMNS[name]: entry[name] for entry in told for name in COLUMNS if name in entry}
            is_whole = any(entry.get("userPrincipalName") for entry in told)
            if not told or (removals and is_whole):
                self.people.pop(one, None)
            if one in self.people:
                self.people[one] |= part
            elif is_whole:
                self.people[one] = dict.fromkeys(COLUMNS.values()) | part

    def groups_page(self, page: list[Entry]) -> None:
        for entry in page:
            if "@removed" in entry:
                self.groups.pop(entry["id"], None)
                self.edges = {edge for edge in self.edges if edge[0] != entry["id"]}
                continue
            if entry["id"] in self.groups or any(one.get("displayName") for one in of(page, entry)):
                name = entry.get("displayName", self.groups.get(entry["id"]))
                self.groups[entry["id"]] = name
            for one in entry["members@delta"]:
                edge = (entry["id"], one["id"])
                (self.edges.discard if "@removed" in one else self.edges.add)(edge)


def of(page: list[Entry], entry: Entry) -> list[Entry]:
    """All entries of the same object between the removals around `entry`."""
    place = next(number for number, one in enumerate(page) if one is entry)
    same = [(number, one) for number, one in enumerate(page) if one["id"] == entry["id"]]
    before = max((number for number, one in same if number < place and "@removed" in one), default=-1)
    after = min((number for number, one in same if number > place and "@removed" in one), default=len(page))
    return [one for number, one in same if before < number < after]


PERSON = st.builds(
    lambda one, said: {"id": one, **said},
    st.sampled_from(PEOPLE),
    st.dictionaries(st.sampled_from(sorted(COLUMNS)), TEXTS),
)
MEMBER = st.builds(
    lambda one, left: member(one, **({"@removed": {"reason": "deleted"}} if left else {})),
    st.sampled_from(PEOPLE),
    st.booleans(),
)
GROUP = st.builds(
    lambda one, said, members: {"id": one, **said, "members@delta": members},
    st.sampled_from(GROUPS),
    st.dictionaries(st.just("displayName"), st.sampled_from(["Staff", "Board"])),
    st.lists(MEMBER, max_size=3),
)
USERS_PAGE = st.lists(PERSON | st.builds(gone, st.sampled_from(PEOPLE)), max_size=5)
GROUPS_PAGE = st.lists(GROUP | st.builds(gone, st.sampled_from(GROUPS)), max_size=4)
PAGES = st.lists(st.tuples(st.just("users"), USERS_PAGE) | st.tuples(st.just("groups"), GROUPS_PAGE), max_size=6)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PAGES)
def test_any_sequence_of_pages_makes_the_rows_that_the_rules_make(
    sqlite_url: str, pages: list[tuple[str, list[Entry]]]
) -> None:
    model = Model()
    with lent_book(sqlite_url) as found:
        pen = Pen(found)
        for stream, page in pages:
            if stream == "users":
                pen.users(*page)
                model.users(page)
            else:
                pen.groups(*page)
                model.groups_page(page)
        rows = {one: pen.contact(one) for one in PEOPLE}
        people = {one: {name: row[name] for name in COLUMNS.values()} for one, row in rows.items() if row}
        groups = {one: row["display_name"] for one in GROUPS if (row := pen.group_row(one))}
        assert people == model.people
        assert groups == model.groups
        assert pen.edges() == model.edges
        assert replayed(pen.database, found.tenant_id) == held(pen.database, found.tenant_id)
