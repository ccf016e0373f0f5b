"""Section "Token lifetime and resets": how links live, die, and are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Simulate, Simulated

WEEK = 7 * 86_400


def test_every_round_ends_with_a_new_link_even_without_changes(simulated: Simulated) -> None:
    _, first = simulated.round("/users/delta")
    items, second = simulated.round(first)
    assert items == []
    assert first != second
    person = simulated.hire()
    for link in (first, second):
        assert [item["id"] for item in simulated.round(link)[0]] == [person]


def test_the_same_link_may_be_used_again(simulated: Simulated) -> None:
    _, link = simulated.round("/users/delta?$select=displayName")
    simulated.hire()
    assert simulated.round(link)[0] == simulated.round(link)[0] != []


def test_latest_gives_a_link_and_no_data(simulated: Simulated) -> None:
    page = simulated.get("/users/delta?$deltatoken=latest&$select=displayName")
    assert page["value"] == []
    person = simulated.hire()
    assert simulated.round(page["@odata.deltaLink"])[0] == [{"id": person, "displayName": "Test Person"}]


def test_the_select_list_is_baked_into_the_link(simulated: Simulated) -> None:
    _, link = simulated.round("/users/delta?$select=mobilePhone")
    person = simulated.hire(mobilePhone="+48501000000")
    items, link = simulated.round(link)
    assert items == [{"id": person, "mobilePhone": "+48501000000"}]
    simulated.control("PATCH", f"/users/{person}", {"displayName": "Renamed"})
    assert simulated.round(link)[0] == []


def test_select_may_be_changed_with_a_delta_link_but_not_with_a_page_link(simulate: Simulate) -> None:
    simulated = simulate(users=10, users_page_size=4)
    pages = simulated.pages("/users/delta?$select=mobilePhone")
    person = simulated.hire()
    items, _ = simulated.round(pages[-1]["@odata.deltaLink"] + "&$select=displayName")
    assert items == [{"id": person, "displayName": "Test Person"}]
    assert simulated.error("GET", pages[0]["@odata.nextLink"] + "&$select=displayName")[0] == 400


@pytest.mark.parametrize("damage", ["tampered", "other stream", "other kind", "other tenant", "nonsense"])
def test_a_token_that_was_never_issued_for_this_is_a_bad_request(simulate: Simulate, damage: str) -> None:
    simulated = simulate(users=10, users_page_size=4, tenants=2)
    pages = simulated.pages("/users/delta")
    link = pages[-1]["@odata.deltaLink"]
    path, _, token = link.partition("$deltatoken=")
    broken = {
        "tampered": f"{path}$deltatoken={token[:200]}{'A' if token[200] != 'A' else 'B'}{token[201:]}",
        "other stream": link.replace("/users/", "/groups/"),
        "other kind": f"{path}$skiptoken={token}",
        "other tenant": link,
        "nonsense": f"{path}$deltatoken=abc",
    }[damage]
    if damage == "other tenant":
        other = list(simulated.world.tenants.values())[1]
        other.directory.truth  # noqa: B018 - the second tenant exists
        simulated.world.tenants.pop(simulated.tenant.id)
        simulated.sign_in()
    assert simulated.error("GET", broken)[:2] == (400, "Request_BadRequest")


@pytest.mark.parametrize(
    ("shape", "status", "code"),
    [
        ("gone", 410, "resyncRequired"),
        ("sync_state_not_found", 400, "syncStateNotFound"),
        ("unsupported_query", 400, "Request_UnsupportedQuery"),
    ],
)
def test_a_link_older_than_seven_days_is_refused_in_the_chosen_shape(
    simulated: Simulated, shape: str, status: int, code: str
) -> None:
    _, link = simulated.round("/users/delta")
    simulated.turn(expired_token_shape=shape)
    simulated.advance(WEEK - 60)
    simulated.sign_in()
    assert simulated.graph("GET", link).status_code == 200
    simulated.advance(120)
    answer = simulated.graph("GET", link)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert ("Location" in answer.headers) == (shape == "gone")


def test_each_round_starts_a_new_period(simulated: Simulated) -> None:
    _, link = simulated.round("/users/delta")
    for _ in range(3):
        simulated.advance(WEEK - 60)
        simulated.sign_in()
        _, link = simulated.round(link)


def test_the_location_of_a_410_starts_an_initial_round_without_the_select_list(simulated: Simulated) -> None:
    person = simulated.hire(department="Sales")
    _, link = simulated.round("/users/delta?$select=department")
    simulated.turn(expired_token_shape="gone", expire_next_tokens=1)
    location = simulated.graph("GET", link).headers["Location"]
    assert location.endswith("/v1.0/users/delta?$deltatoken=")
    items = {item["id"]: item for item in simulated.round(location)[0]}
    assert "displayName" in items[person]
    assert "department" not in items[person]


def test_a_page_link_dies_much_sooner_with_a_code_of_its_own(simulate: Simulate) -> None:
    simulated = simulate(users=10, users_page_size=4)
    page = simulated.get("/users/delta")
    simulated.advance(3_599 - 5)
    simulated.sign_in()
    assert simulated.graph("GET", page["@odata.nextLink"]).status_code == 200
    simulated.advance(10)
    assert simulated.error("GET", page["@odata.nextLink"])[:2] == (400, "Directory_ExpiredPageToken")


def test_the_next_n_requests_with_a_token_can_be_told_that_it_expired(simulated: Simulated) -> None:
    _, link = simulated.round("/users/delta")
    simulated.turn(expire_next_tokens=2)
    assert simulated.graph("GET", "/users/delta").status_code == 200
    assert simulated.graph("GET", link).status_code == 400
    assert simulated.graph("GET", link).status_code == 400
    assert simulated.graph("GET", link).status_code == 200
    assert simulated.fired("expire_next_tokens") == 2


def test_a_reset_of_the_service_expires_all_links(simulated: Simulated) -> None:
    _, link = simulated.round("/users/delta")
    simulated.control("DELETE", "/delta-tokens")
    assert simulated.error("GET", link)[:2] == (400, "Request_UnsupportedQuery")
    assert simulated.round("/users/delta")[0] != []


def test_links_of_an_earlier_process_are_expired_and_not_malformed(simulate: Simulate) -> None:
    earlier = simulate(seed=5)
    _, link = earlier.round("/users/delta")
    later = simulate(seed=5)
    assert later.tenant.id == earlier.tenant.id
    assert later.error("GET", link)[:2] == (400, "Request_UnsupportedQuery")


def test_other_errors_leave_the_token_alone(simulated: Simulated) -> None:
    _, link = simulated.round("/users/delta")
    simulated.turn(server_error_next=1, throttle_next=1)
    assert {simulated.graph("GET", link).status_code for _ in range(2)} & {429}
    assert simulated.graph("GET", link).status_code == 200
