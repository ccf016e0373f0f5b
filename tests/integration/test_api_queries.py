"""What is asked of the HTTP API, and how: filters that find, and parameters that are refused instead of passed over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import Api, api_in_process
from tests.support.book import Book, book, guid
from tests.support.pen import Pen, gone, group, member, person

ANNA, BEN, CLEO, DORA, STAFF, SALES = map(guid, ("anna", "ben", "cleo", "dora", "staff", "sales"))


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    """Staff has Anna and Sales, Sales has Ben, who shares a landline with Cleo; Dora has no number."""
    with book(database_url) as made:
        pen = Pen(made)
        pen.users(
            person(ANNA, displayName="Łukasz Żak", mobilePhone="601 234 567", mail="Lukasz@contoso.example"),
            person(BEN, displayName="Ben", businessPhones=["22 123 45 67"], userPrincipalName="ben@contoso.example"),
            person(CLEO, displayName="Cleo", mobilePhone="+48 22 123 45 67", userType="Guest"),
            person(DORA, displayName="Dora", mobilePhone="reception", accountEnabled=False),
        )
        pen.groups(
            group(STAFF, member(ANNA), member(SALES, "group"), name="Staff"), group(SALES, member(BEN), name="Sales")
        )
        yield made


@pytest.fixture
def api(contoso: Book, database_url: str) -> Iterator[Api]:
    with api_in_process(database_url, contoso.tenant_id) as made:
        yield made


@pytest.fixture
def mine(contoso: Book) -> str:
    return f"/v1/tenants/{contoso.tenant_id}"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {ANNA, BEN, CLEO, DORA}),
        ("search=łuk", {ANNA}),
        ("search=LUKASZ@", {ANNA}),
        ("search=601-234", {ANNA}),
        ("search=%25", set()),
        ("phone=%2B48601234567", {ANNA}),
        ("phone=0048 22 1234567", {BEN, CLEO}),
        ("phone=22 123 45 6", set()),
        ("phone=reception", set()),
        ("mail=LUKASZ@CONTOSO.EXAMPLE", {ANNA}),
        ("mail=ben@contoso.example", {BEN}),
        ("mail=contoso.example", set()),
        ("state=invalid", {DORA}),
        (f"group={STAFF}", {ANNA, BEN}),
        (f"group={STAFF.upper()}", {ANNA, BEN}),
        (f"group={STAFF}&direct=true", {ANNA}),
        (f"group={STAFF}&search=ben&phone=221234567&state=ok", {BEN}),
    ],
)
def test_contacts_are_found_by_what_is_known_of_them(api: Api, mine: str, query: str, found: set[str]) -> None:
    assert {one["object_id"] for one in api.read(f"{mine}/contacts?{query}")["items"]} == found


def test_a_person_is_told_with_what_the_directory_holds_and_the_number_that_follows(api: Api, mine: str) -> None:
    told = api.read(f"{mine}/contacts/{ANNA}")
    assert (
        told.items()
        >= {
            "object_id": ANNA,
            "display_name": "Łukasz Żak",
            "mail": "Lukasz@contoso.example",
            "phone": "+48601234567",
            "phone_source": "mobile",
            "phone_state": "ok",
            "mobile_phone": "601 234 567",
            "business_phones": [],
            "guest": False,
        }.items()
    )
    assert api.read(f"{mine}/contacts/{CLEO}")["guest"] is True
    assert api.read(f"{mine}/contacts/{DORA}")["enabled"] is False


def test_groups_and_their_members_are_told(api: Api, mine: str) -> None:
    listed = {one["object_id"]: one for one in api.read(f"{mine}/groups")["items"]}
    assert listed[STAFF]["direct_members"] == {"people": 1, "groups": 1, "others": 0}
    assert api.read(f"{mine}/groups?search=sta")["items"] == [listed[STAFF]]
    assert api.read(f"{mine}/groups/{STAFF}")["reach"] == {"people": 2, "with_number": 2}
    members = api.read(f"{mine}/groups/{STAFF}/members")["items"]
    assert sorted((one["type"], one["display_name"]) for one in members) == [("group", "Sales"), ("user", "Łukasz Żak")]


def test_recipients_are_those_of_the_command_and_counted_with_who_is_left_out(api: Api, mine: str) -> None:
    both = f"group={STAFF}&group={SALES}"
    assert {one["phone"] for one in api.read(f"{mine}/recipients?{both}")["items"]} == {"+48601234567", "+48221234567"}
    without = f"{both}&except={SALES}"
    assert [one["object_id"] for one in api.read(f"{mine}/recipients?{without}")["items"]] == [ANNA]
    counted = api.read(f"{mine}/recipients/count?{without}")
    assert (counted["people"], counted["recipients"], counted["left_out"].pop("excluded")) == (2, 1, 1)
    assert set(counted["left_out"].values()) == {0}
    unknown = api.get(f"{mine}/recipients?group={STAFF}&except={guid('nobody')}")
    assert unknown.status_code == 404, "to pass it over would send to those who must not get it"


def test_each_report_has_its_people_and_of_a_group_those_of_the_group(api: Api, mine: str) -> None:
    found = {
        name: {one["object_id"] for one in api.read(f"{mine}/reports/{name}")["items"]}
        for name in ("missing", "invalid", "shared", "not-mobile")
    }
    assert found == {"missing": set(), "invalid": {DORA}, "shared": {BEN, CLEO}, "not-mobile": {BEN, CLEO}}
    [one] = api.read(f"{mine}/reports/not-mobile?group={STAFF}")["items"]
    assert (one["object_id"], one["kind"], one["phone_source"]) == (BEN, "landline", "business")
    assert api.read(f"{mine}/reports/shared?group={STAFF}")["items"] == []
    assert api.get(f"{mine}/reports/nonsense").status_code == 404


def test_a_copy_follows_the_changes_from_the_number_of_the_tenant(api: Api, mine: str, contoso: Book) -> None:
    begun = api.read(mine)["last_change"]
    assert api.read(f"{mine}/changes?since={begun}") == {"items": [], "last": begun, "has_more": False}
    pen = Pen(contoso)
    pen.users(person(ANNA, displayName="Anna", mobilePhone="601 234 568"))
    pen.users(gone(BEN))

    first = api.read(f"{mine}/changes?since={begun}&limit=1")
    assert first["has_more"] is True
    second = api.read(f"{mine}/changes?since={first['last']}")
    told = [*first["items"], *second["items"]]
    assert [(one["kind"], one["object_id"], one["name"]) for one in told] == [
        ("contact.changed", ANNA, "Anna"),
        ("contact.removed", BEN, None),
    ]
    assert first["last"] == told[0]["sequence"]
    assert (second["last"], second["has_more"]) == (told[-1]["sequence"], False)
    assert told[0]["fields"] == ["display_name", "mobile_phone", "phone"]
    assert len(api.read(f"{mine}/changes")["items"]) > 2
    assert api.get(f"{mine}/contacts/{BEN}").status_code == 404


@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ("contacts?serach=anna", "unknown-parameter", "Did you mean 'search'? There are: limit, cursor, search,"),
        ("contacts?q=anna", "unknown-parameter", "There are: limit, cursor, search,"),
        ("contacts?limit=0", "invalid-parameter", "limit: "),
        ("contacts?limit=1001", "invalid-parameter", "1000"),
        ("contacts?limit=many", "invalid-parameter", "limit: "),
        ("contacts?limit=1&limit=2", "invalid-parameter", "limit: it is given more than once."),
        ("contacts?state=nice", "invalid-parameter", "'ok', 'missing' or 'invalid'"),
        ("contacts?state=", "invalid-parameter", "state: "),
        ("contacts?search=", "invalid-parameter", "search: "),
        ("contacts?search=a%00b", "invalid-parameter", "search: "),
        ("contacts?group=Sales", "invalid-parameter", "group: "),
        ("contacts?direct=true", "invalid-parameter", "direct: it belongs to group."),
        (f"contacts/{ANNA}?fields=phone", "unknown-parameter", "nothing can be asked for here"),
        ("recipients", "invalid-parameter", "group: "),
        ("recipients?group=Sales", "invalid-parameter", "group: "),
        (f"recipients?group={SALES}&limit=10001", "invalid-parameter", "10000"),
        ("recipients?" + "&".join([f"group={SALES}"] * 101), "invalid-parameter", "group: "),
        (f"recipients/count?group={SALES}&limit=5", "unknown-parameter", "There are: group, except."),
        ("changes?since=-1", "invalid-parameter", "since: "),
        ("changes?since=99999999999999999999", "invalid-parameter", "since: "),
        ("changes?after=4", "unknown-parameter", "There are: since, limit."),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_could_be(
    api: Api, mine: str, query: str, kind: str, words: str
) -> None:
    refused = api.get(f"{mine}/{query}")
    problem = refused.get_json()
    assert (refused.status_code, refused.mimetype) == (400, "application/problem+json")
    assert set(problem) == {"type", "title", "status", "detail"}
    assert (problem["type"], problem["status"]) == (f"urn:entra-sms:{kind}", 400)
    assert words in problem["detail"]
    assert "None" not in problem["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"])
def test_nothing_can_be_changed(api: Api, mine: str, method: str) -> None:
    answer = api.client.open(f"{mine}/contacts", method=method, headers={"Authorization": f"Bearer {api.key}"})
    assert (answer.status_code, answer.get_json()["type"]) == (405, "urn:entra-sms:method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/tenants/", "/v1//tenants", "/v2/tenants", "/v1/tenants/x"])
def test_a_path_where_nothing_is_leads_to_the_document_and_never_elsewhere(api: Api, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer.get_json()["type"]) == (404, "urn:entra-sms:not-found")
    assert "/openapi.json" in answer.get_json()["detail"]


def test_a_head_is_the_answer_without_its_body(api: Api, mine: str) -> None:
    whole = api.get(f"{mine}/contacts")
    head = api.client.head(f"{mine}/contacts", headers={"Authorization": f"Bearer {api.key}"})
    assert (head.status_code, head.data, head.headers["ETag"]) == (200, b"", whole.headers["ETag"])


def test_the_problem_in_the_documentation_is_the_one_that_is_answered(api: Api, mine: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text()
    problem = api.get(f"{mine}/contacts?serach=anna").get_json()
    assert problem["detail"] in text
    assert problem["type"] in text
