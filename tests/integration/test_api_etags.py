"""An ETag stays as long as the answer stays, and changes with it, whoever changed what, and how."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import delete, update

from common.db.tables import contacts, memberships
from tests.support.api import Api, api_in_process
from tests.support.book import Book, book, guid
from tests.support.pen import Pen, group, member, person

ANNA, BEN, SALES = guid("anna"), guid("ben"), guid("sales")


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        pen = Pen(made)
        pen.users(person(ANNA, displayName="Anna", mobilePhone="601 234 567"), person(BEN, displayName="Ben"))
        pen.groups(group(SALES, member(ANNA), name="Sales"))
        yield made


@pytest.fixture
def api(contoso: Book, database_url: str) -> Iterator[Api]:
    with api_in_process(database_url, contoso.tenant_id) as made:
        yield made


PATHS = (
    "",
    "/contacts",
    f"/contacts/{ANNA}",
    "/groups",
    f"/groups/{SALES}",
    f"/groups/{SALES}/members",
    f"/recipients?group={SALES}",
    f"/recipients/count?group={SALES}",
    "/reports/missing",
    "/changes",
)


def by_hand_a_name(made: Book) -> None:
    with made.database.write() as connection:
        connection.execute(update(contacts).where(contacts.c.object_id == ANNA).values(display_name="Anne"))


def by_hand_an_edge(made: Book) -> None:
    with made.database.write() as connection:
        connection.execute(delete(memberships))


def by_the_worker(made: Book) -> None:
    Pen(made).users(person(ANNA, displayName="Anna Nowak", mobilePhone="601 234 568"))


def by_the_settings_of_the_tenant(made: Book) -> None:
    made.person("Disabled", guid("disabled"), phone="+48601000001", account_enabled=False)
    made.edge(SALES, "user", guid("disabled"))
    made.tenant(disabled_are_recipients=True, name="Contoso GmbH")


@pytest.mark.parametrize("change", [by_hand_a_name, by_hand_an_edge, by_the_worker, by_the_settings_of_the_tenant])
def test_an_answer_that_differs_has_another_etag_and_one_that_does_not_has_the_same(
    api: Api, contoso: Book, change: Callable[[Book], None]
) -> None:
    mine = f"/v1/tenants/{contoso.tenant_id}"
    before = {path: api.get(f"{mine}{path}") for path in PATHS}
    change(contoso)
    after = {path: api.get(f"{mine}{path}") for path in PATHS}

    differ = {path for path in PATHS if before[path].data != after[path].data}
    assert differ, "this test changes something that shows"
    assert {path for path in PATHS if before[path].headers["ETag"] != after[path].headers["ETag"]} == differ


@pytest.mark.parametrize("path", ["/v1/tenants", *(f"/v1/tenants/{guid('Contoso')}{path}" for path in PATHS)])
def test_whoever_has_the_answer_gets_304_without_a_body_until_it_changes(api: Api, contoso: Book, path: str) -> None:
    known = api.get(path)
    again = api.get(path, If_None_Match=known.headers["ETag"])
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == known.headers["ETag"]
    assert known.headers["Cache-Control"] == again.headers["Cache-Control"] == "private, no-cache"
    assert known.headers["Vary"] == "Authorization"
    assert api.get(path, If_None_Match='"another"').data == known.data
    assert api.get(path, If_None_Match=f'"another", {known.headers["ETag"]}').status_code == 304


def test_304_is_for_who_may_read_alone(api: Api, contoso: Book) -> None:
    known = api.get("/v1/tenants").headers["ETag"]
    assert api.get("/v1/tenants", key="esms_wrong", If_None_Match=known).status_code == 401


def test_other_questions_with_other_answers_have_other_etags(api: Api, contoso: Book) -> None:
    mine = f"/v1/tenants/{contoso.tenant_id}/contacts"
    asked = [mine, f"{mine}?limit=1", f"{mine}?search=anna", f"{mine}?state=missing"]
    answers = [api.get(path) for path in asked]
    assert len({one.headers["ETag"] for one in answers}) == len({one.data for one in answers}) >= 3


def test_the_document_has_an_etag_too_and_needs_no_key(api: Api) -> None:
    known = api.client.get("/openapi.json")
    assert known.status_code == 200
    again = api.client.get("/openapi.json", headers={"If-None-Match": known.headers["ETag"]})
    assert again.status_code == 304
