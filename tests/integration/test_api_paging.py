"""Pages while the book changes between them: whoever is in the list all the time is told, and nobody is told twice."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, insert, update

from common.db.tables import contacts, groups, memberships
from console.reads import reports
from tests.support.api import Api, api_in_process
from tests.support.book import Book, guid, lent_book
from tests.support.fuzzing import fuzz

NAMES = ("Anna", "anna", "Łukasz", "Zoe", None)
NUMBERS = ("+48601000001", "+48221234567", "+48221234568", None)
PEOPLE = tuple(guid(f"person {number}") for number in range(9))
STAFF, SALES = guid("staff"), guid("sales")
MOST_PAGES = 50
Values = dict[str, str | None]
Change = tuple[str, str, Values]
LISTS = {
    "contacts": "contacts",
    "search": "contacts?search=a",
    "missing": "contacts?state=missing",
    "of a group": f"contacts?group={STAFF}",
    "directly in a group": f"contacts?group={SALES}&direct=true",
    "groups": "groups",
    "members": f"groups/{SALES}/members",
    "recipients": f"recipients?group={STAFF}",
    "report missing": "reports/missing",
    "report shared": "reports/shared",
    "report not-mobile": "reports/not-mobile",
}

person = st.fixed_dictionaries({"display_name": st.sampled_from(NAMES), "phone": st.sampled_from(NUMBERS)})
change = st.tuples(st.sampled_from(["write", "remove", "join", "leave", "group"]), st.sampled_from(PEOPLE), person)
changes = st.lists(change, max_size=4)


@pytest.fixture(scope="module")
def random_book(shared_database_url: str) -> Iterator[Book]:
    with lent_book(shared_database_url) as made:
        yield made


@pytest.fixture(scope="module")
def api(random_book: Book, shared_database_url: str) -> Iterator[Api]:
    with api_in_process(shared_database_url, random_book.tenant_id) as made:
        yield made


@dataclass
class Company:
    """The book of a test, emptied: everybody in Sales, which is in Staff."""

    book: Book
    own: dict[str, object] = field(init=False)

    def __post_init__(self) -> None:
        self.own = {"tenant_id": self.book.tenant_id, "generation": 1}
        with self.book.database.write() as connection:
            for table in (contacts, groups, memberships):
                connection.execute(delete(table))
            rows = [{**self.own, "object_id": one, "display_name": "Group"} for one in (STAFF, SALES)]
            connection.execute(insert(groups), rows)
            edge = {"group_id": STAFF, "member_id": SALES, "member_type": "group"}
            connection.execute(insert(memberships).values(**self.own, **edge))

    def apply(self, what: str, who: str, values: Values) -> None:
        mine = contacts.c.object_id == who
        edge = {"group_id": SALES, "member_id": who, "member_type": "user"}
        row = {**values, "phone_source": "mobile" if values["phone"] else None}
        row["phone_state"] = "ok" if values["phone"] else "missing"
        with self.book.database.write() as connection:
            insert_ = self.book.database.insert
            if what == "write" and not connection.execute(update(contacts).where(mine).values(**row)).rowcount:
                connection.execute(insert(contacts).values(**self.own, object_id=who, **row))
            elif what == "remove":
                connection.execute(delete(contacts).where(mine))
            elif what == "join":
                connection.execute(insert_(memberships).values(**self.own, **edge).on_conflict_do_nothing())
            elif what == "leave":
                connection.execute(delete(memberships).where(memberships.c.member_id == who))
            elif what == "group":
                own = {**self.own, "object_id": who, "display_name": values["display_name"]}
                connection.execute(insert_(groups).values(**own).on_conflict_do_nothing())


@pytest.mark.parametrize("name", LISTS)
@fuzz(cost=20)
@given(
    first=st.lists(person, min_size=len(PEOPLE), max_size=len(PEOPLE)),
    between=st.lists(changes, max_size=6),
    limit=st.integers(1, 3),
)
def test_who_is_there_all_the_time_is_told_once(
    random_book: Book, api: Api, name: str, first: list[Values], between: list[list[Change]], limit: int
) -> None:
    company = Company(random_book)
    path = f"/v1/tenants/{random_book.tenant_id}/{LISTS[name]}"
    joined = "&" if "?" in path else "?"

    def whole() -> set[str]:
        return {one["object_id"] for one in api.read(f"{path}{joined}limit=1000")["items"]}

    for who, values in zip(PEOPLE, first, strict=True):
        company.apply("join", who, values)
        company.apply("write", who, values)
        company.apply("group", who, values)
    always = ever = whole()
    waiting = list(between)
    told: list[str] = []
    with patch.object(reports, "LOOKED_AT", 2 * limit):
        for number, page in enumerate(api.pages(path, limit)):
            assert number < MOST_PAGES, "the pages have no end"
            assert len(page) <= limit
            told += [item["object_id"] for item in page]
            for one in waiting.pop(0) if waiting else []:
                company.apply(*one)
                now = whole()
                always, ever = always & now, ever | now

    assert len(told) == len(set(told))
    assert always <= set(told) <= ever
    if not any(between):
        assert told == sorted(always)


@pytest.fixture
def full(random_book: Book) -> str:
    """Three people in a group; the path of the tenant."""
    company = Company(random_book)
    for who in PEOPLE[:3]:
        company.apply("write", who, {"display_name": "Anna", "phone": None})
        company.apply("join", who, {"phone": None})
    return f"/v1/tenants/{random_book.tenant_id}"


def test_a_cursor_belongs_to_its_list_and_its_filters_but_not_to_a_size_of_pages(api: Api, full: str) -> None:
    cursor = api.read(f"{full}/contacts?search=anna&limit=1")["next_cursor"]
    assert len(api.read(f"{full}/contacts?search=anna&limit=2&cursor={cursor}")["items"]) == 2

    others = (
        "contacts?",
        "contacts?search=Anna&",
        "contacts?search=anna&state=missing&",
        "groups?search=anna&",
        f"groups/{SALES}/members?",
        f"recipients?group={SALES}&",
        "reports/missing?",
    )
    for other in others:
        refused = api.get(f"{full}/{other}cursor={cursor}")
        assert (refused.status_code, refused.get_json()["type"]) == (400, "urn:entra-sms:invalid-cursor"), other
        assert "next_cursor" in refused.get_json()["detail"]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "%2B%2B%2B%2B", "%C5%82", "A" * 200, "A" * 32, "null", "-1"])
def test_what_is_no_cursor_is_refused_with_what_to_do(api: Api, full: str, cursor: str) -> None:
    refused = api.get(f"{full}/contacts?cursor={cursor}")
    assert (refused.status_code, refused.get_json()["type"]) == (400, "urn:entra-sms:invalid-cursor")


def test_a_cursor_of_somebody_who_has_left_goes_on_behind_the_place(api: Api, full: str, random_book: Book) -> None:
    page = api.read(f"{full}/contacts?limit=1")
    with random_book.database.write() as connection:
        connection.execute(delete(contacts).where(contacts.c.object_id == page["items"][0]["object_id"]))
    rest = api.read(f"{full}/contacts?cursor={page['next_cursor']}")
    assert [one["object_id"] for one in rest["items"]] == sorted(PEOPLE[:3])[1:]


def test_the_last_page_has_no_cursor_also_when_it_is_full(api: Api, full: str) -> None:
    assert api.read(f"{full}/contacts?limit=3")["next_cursor"] is None
    assert api.read(f"{full}/contacts?limit=2")["next_cursor"] is not None
    assert api.read(f"{full}/reports/missing?limit=3")["next_cursor"] is None
