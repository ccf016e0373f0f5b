"""Section "Non-delta reads used for verification", and what all answers have in common."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Simulate, Simulated


def ids(page: dict[str, Any]) -> list[str]:
    return [each["id"] for each in page["value"]]


def listed(simulated: Simulated, path: str) -> list[dict[str, Any]]:
    pages = [simulated.get(path)]
    while "@odata.nextLink" in pages[-1]:
        pages.append(simulated.get(pages[-1]["@odata.nextLink"]))
    return pages


def test_listings_have_a_hundred_by_default_and_as_many_as_asked_for(simulate: Simulate) -> None:
    simulated = simulate(users=250)
    assert [len(page["value"]) for page in listed(simulated, "/users")] == [100, 100, 50]
    assert [len(page["value"]) for page in listed(simulated, "/users?$top=999&$select=id")] == [250]
    pages = listed(simulated, "/users?$top=90&$select=displayName")
    assert [len(page["value"]) for page in pages] == [90, 90, 70]
    assert all(set(each) == {"id", "displayName"} for page in pages for each in page["value"])


@pytest.mark.parametrize("top", ["0", "1000", "-1", "ten"])
def test_other_page_sizes_are_refused(simulated: Simulated, top: str) -> None:
    assert simulated.error("GET", f"/users?$top={top}")[:2] == (400, "Request_BadRequest")


def test_listings_show_every_live_object_once(simulate: Simulate) -> None:
    simulated = simulate(users=30, groups=15)
    truth = simulated.control("GET", "/directory")
    for kind in ("users", "groups"):
        found = [one for page in listed(simulated, f"/{kind}?$top=7") for one in ids(page)]
        assert sorted(found) == sorted(each["id"] for each in truth[kind])


def test_a_page_link_of_a_listing_dies(simulate: Simulate) -> None:
    simulated = simulate(users=5)
    page = simulated.get("/users?$top=2")
    simulated.advance(3_700)
    simulated.sign_in()
    assert simulated.error("GET", page["@odata.nextLink"])[:2] == (400, "Directory_ExpiredPageToken")


def test_a_read_shows_what_is_empty_as_null_or_an_empty_list(simulated: Simulated) -> None:
    person = simulated.hire()
    shown = simulated.get(f"/users/{person}?$select=mobilePhone,businessPhones,accountEnabled")
    assert shown["mobilePhone"] is None
    assert shown["businessPhones"] == []
    assert shown["accountEnabled"] is True
    assert "accountEnabled" not in simulated.get(f"/users/{person}")


def test_a_user_can_be_read_by_principal_name(simulated: Simulated) -> None:
    person = simulated.hire("Anna Nowak")
    assert simulated.get(f"/users/ANNA.nowak@{simulated.tenant.domain}")["id"] == person


def test_an_unknown_object_is_not_found(simulated: Simulated) -> None:
    unknown = str(uuid.uuid4())
    for path in (f"/users/{unknown}", f"/groups/{unknown}", f"/groups/{unknown}/members", f"/users/{unknown}/memberOf"):
        assert simulated.error("GET", path)[:2] == (404, "Request_ResourceNotFound")
    group = simulated.found()
    assert simulated.error("GET", f"/users/{group}")[0] == 404


def test_members_come_with_their_type_and_in_pages(simulate: Simulate) -> None:
    simulated = simulate(users=20, groups=16)
    for group in simulated.control("GET", "/directory")["groups"]:
        pages = listed(simulated, f"/groups/{group['id']}/members?$top=5&$select=id")
        found = {each["id"]: each["@odata.type"] for page in pages for each in page["value"]}
        assert found == {member["id"]: f"#microsoft.graph.{member['type']}" for member in group["members"]}


def test_of_members_that_may_not_be_read_only_type_and_id_come(simulate: Simulate) -> None:
    simulated = simulate(users=20, groups=13)
    [devices] = [
        each for each in simulated.control("GET", "/directory")["groups"] if each["displayName"] == "Field Devices"
    ]
    page = simulated.get(f"/groups/{devices['id']}/members")
    assert {each["@odata.type"] for each in page["value"]} == {"#microsoft.graph.device"}
    assert all(each["displayName"] is None for each in page["value"])


def test_transitive_members_end_with_cycles_and_tell_everyone_once(simulated: Simulated) -> None:
    first, second, person = simulated.found("First"), simulated.found("Second"), simulated.hire()
    simulated.join(first, second)
    simulated.join(second, first)
    simulated.join(second, person)
    simulated.join(first, person)
    assert sorted(ids(simulated.get(f"/groups/{first}/transitiveMembers"))) == sorted([second, person])
    assert sorted(ids(simulated.get(f"/users/{person}/transitiveMemberOf"))) == sorted([first, second])


def test_member_of_lists_the_direct_groups(simulated: Simulated) -> None:
    outer, inner, person = simulated.found("Outer"), simulated.found("Inner"), simulated.hire()
    simulated.join(outer, inner)
    simulated.join(inner, person)
    page = simulated.get(f"/users/{person}/memberOf?$select=displayName")
    assert page["value"] == [{"@odata.type": "#microsoft.graph.group", "id": inner, "displayName": "Inner"}]
    assert simulated.get(f"/users/{person}/transitiveMemberOf?$top=1")["@odata.nextLink"]


def test_several_objects_can_be_read_by_id_at_once(simulated: Simulated) -> None:
    person, group = simulated.hire(), simulated.found()
    body = {"ids": [person, group, str(uuid.uuid4())]}
    answer = simulated.graph("POST", "/directoryObjects/getByIds?$select=displayName", json=body)
    assert ids(answer.json()) == [person, group]
    only = simulated.graph("POST", "/directoryObjects/getByIds", json=body | {"types": ["group"]})
    assert ids(only.json()) == [group]
    assert simulated.error("POST", "/directoryObjects/getByIds", json={"ids": []})[0] == 400


def test_the_manager_is_read_by_its_own_path(simulated: Simulated) -> None:
    boss = simulated.hire("Boss")
    person = simulated.hire("Report", manager=boss)
    assert simulated.get(f"/users/{person}/manager")["id"] == boss
    assert simulated.error("GET", f"/users/{boss}/manager")[0] == 404


def test_answers_carry_the_headers_of_graph(simulated: Simulated) -> None:
    request_id = str(uuid.uuid4())
    answer = simulated.graph("GET", "/users?$top=1", headers={"client-request-id": request_id})
    assert answer.headers["client-request-id"] == request_id
    assert uuid.UUID(answer.headers["request-id"])
    assert answer.headers["Content-Type"].startswith("application/json;odata.metadata=minimal")
    assert answer.headers["OData-Version"] == "4.0"
    assert "x-ms-ags-diagnostic" in answer.headers


def test_errors_name_the_request(simulated: Simulated) -> None:
    request_id = str(uuid.uuid4())
    answer = simulated.graph("GET", f"/users/{uuid.uuid4()}", headers={"client-request-id": request_id})
    inner = answer.json()["error"]["innerError"]
    assert inner["client-request-id"] == request_id
    assert inner["request-id"] == answer.headers["request-id"]


def test_an_unknown_path_is_a_bad_request_as_in_graph(simulated: Simulated) -> None:
    status, code, message = simulated.error("GET", "/mailboxes")
    assert (status, code) == (400, "BadRequest")
    assert "'mailboxes'" in message


def test_a_batch_answers_each_request_in_an_order_of_its_own(simulated: Simulated) -> None:
    person = simulated.hire()
    inner = [
        {"id": "1", "method": "GET", "url": f"/users/{person}?$select=displayName"},
        {"id": "2", "method": "GET", "url": f"/users/{uuid.uuid4()}"},
        {"id": "3", "method": "GET", "url": "/groups", "dependsOn": ["2"]},
    ]
    answer = simulated.graph("POST", "/$batch", json={"requests": inner})
    assert answer.status_code == 200
    found = {each["id"]: each for each in answer.json()["responses"]}
    assert [each["id"] for each in answer.json()["responses"]] == ["3", "2", "1"]
    assert {name: each["status"] for name, each in found.items()} == {"1": 200, "2": 404, "3": 424}
    assert found["1"]["body"]["displayName"] == "Test Person"


@pytest.mark.parametrize("requests", [[], [{"id": str(n), "method": "GET", "url": "/users"} for n in range(21)], [{}]])
def test_a_batch_of_none_or_more_than_twenty_or_nonsense_is_refused(
    simulated: Simulated, requests: list[dict[str, Any]]
) -> None:
    assert simulated.graph("POST", "/$batch", json={"requests": requests}).status_code == 400
