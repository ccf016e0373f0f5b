"""Sections "Object representation" and "User deletion": the recycle bin, and what groups tell of it (nothing)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Endpoint, Simulated

MONTH = 30 * 86_400


@pytest.fixture
def member(simulated: Simulated) -> tuple[str, str]:
    """A person in a group, as (group id, user id)."""
    group, person = simulated.found(), simulated.hire()
    simulated.join(group, person)
    return group, person


def members(simulated: Simulated, group: str) -> list[str]:
    return [each["id"] for each in simulated.get(f"/groups/{group}/members")["value"]]


def test_a_soft_deleted_user_is_removed_with_reason_changed(simulated: Simulated) -> None:
    person = simulated.hire()
    _, link = simulated.round("/users/delta")
    simulated.control("DELETE", f"/users/{person}")
    assert simulated.round(link)[0] == [{"id": person, "@removed": {"reason": "changed"}}]


def test_a_purged_user_is_removed_with_reason_deleted(simulated: Simulated) -> None:
    person = simulated.hire()
    _, link = simulated.round("/users/delta")
    simulated.control("DELETE", f"/users/{person}")
    _, link = simulated.round(link)
    simulated.control("POST", f"/users/{person}/purge")
    assert simulated.round(link)[0] == [{"id": person, "@removed": {"reason": "deleted"}}]


def test_a_restored_user_appears_as_new(simulated: Simulated) -> None:
    person = simulated.hire(mobilePhone="+48501000000")
    simulated.control("DELETE", f"/users/{person}")
    _, link = simulated.round("/users/delta?$select=displayName,mobilePhone,userPrincipalName")
    simulated.control("POST", f"/users/{person}/restore")
    items, _ = simulated.round(link, headers={"Prefer": "return=minimal"})
    assert items == [
        {
            "id": person,
            "displayName": "Test Person",
            "mobilePhone": "+48501000000",
            "userPrincipalName": f"test.person@{simulated.tenant.domain}",
        }
    ]


def test_someone_who_came_and_went_between_two_rounds_shows_as_removed_only(simulated: Simulated) -> None:
    _, link = simulated.round("/users/delta")
    person = simulated.hire()
    simulated.control("POST", f"/users/{person}/purge")
    assert simulated.round(link)[0] == [{"id": person, "@removed": {"reason": "deleted"}}]


@pytest.mark.parametrize("shown", [True, False])
def test_an_initial_round_may_list_the_recycle_bin(simulated: Simulated, shown: bool) -> None:
    person = simulated.hire()
    simulated.control("DELETE", f"/users/{person}")
    simulated.turn(initial_round_shows_removed=shown)
    items, _ = simulated.round("/users/delta")
    assert ({"id": person, "@removed": {"reason": "changed"}} in items) == shown


def test_reads_do_not_find_a_deleted_user_but_the_recycle_bin_does(simulated: Simulated) -> None:
    person = simulated.hire()
    simulated.control("DELETE", f"/users/{person}")
    assert simulated.error("GET", f"/users/{person}")[:2] == (404, "Request_ResourceNotFound")
    assert person not in [each["id"] for each in simulated.get("/users?$top=999")["value"]]
    path = "/directory/deletedItems/microsoft.graph.user?$select=userPrincipalName,deletedDateTime"
    [shown] = [each for each in simulated.get(path)["value"] if each["id"] == person]
    assert shown["userPrincipalName"] == f"{person.replace('-', '')}test.person@{simulated.tenant.domain}"
    assert shown["deletedDateTime"] is not None


@pytest.mark.parametrize("how", ["soft", "hard"])
def test_deleting_a_user_shows_nothing_in_the_groups_delta(
    simulated: Simulated, member: tuple[str, str], how: str
) -> None:
    group, person = member
    _, link = simulated.round("/groups/delta?$select=displayName,members")
    simulated.control("DELETE", f"/users/{person}")
    if how == "hard":
        simulated.control("POST", f"/users/{person}/purge")
    assert simulated.round(link)[0] == []
    assert members(simulated, group) == []


def test_the_documented_removal_after_a_purge_can_be_switched_on(simulated: Simulated, member: tuple[str, str]) -> None:
    group, person = member
    simulated.turn(purge_removes_memberships_in_delta=True)
    _, link = simulated.round("/groups/delta?$select=members")
    simulated.control("DELETE", f"/users/{person}")
    items, link = simulated.round(link)
    assert items == []
    simulated.control("POST", f"/users/{person}/purge")
    [item] = simulated.round(link)[0]
    assert item["members@delta"][0]["@removed"] == {"reason": "deleted"}
    assert item["id"] == group


def test_restoring_a_user_brings_the_memberships_back_without_a_word_in_the_groups_delta(
    simulated: Simulated, member: tuple[str, str]
) -> None:
    group, person = member
    simulated.control("DELETE", f"/users/{person}")
    _, link = simulated.round("/groups/delta")
    simulated.control("POST", f"/users/{person}/restore")
    assert simulated.round(link)[0] == []
    assert members(simulated, group) == [person]
    assert [each["id"] for each in simulated.get(f"/users/{person}/memberOf")["value"]] == [group]


def test_the_truth_does_not_list_members_in_the_recycle_bin(simulated: Simulated, member: tuple[str, str]) -> None:
    group, person = member
    simulated.control("DELETE", f"/users/{person}")
    [shown] = [each for each in simulated.control("GET", "/directory")["groups"] if each["id"] == group]
    assert shown["members"] == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ({"groupTypes": ["Unified"], "mailEnabled": True, "securityEnabled": False}, "changed"),
        ({"securityEnabled": True, "mailEnabled": False}, "changed"),
        ({"securityEnabled": False, "mailEnabled": True}, "deleted"),
    ],
    ids=["microsoft 365", "security", "distribution"],
)
def test_only_distribution_groups_have_no_recycle_bin(simulated: Simulated, kind: dict[str, Any], reason: str) -> None:
    group = simulated.found(**kind)
    _, link = simulated.round("/groups/delta")
    simulated.control("DELETE", f"/groups/{group}")
    assert simulated.round(link)[0] == [{"id": group, "@removed": {"reason": reason}}]
    restored = simulated.request("POST", f"/control/tenants/default/groups/{group}/restore")
    assert restored.status_code == (200 if reason == "changed" else 404)


def test_in_older_days_security_groups_had_none_either(simulated: Simulated) -> None:
    simulated.turn(security_groups_have_recycle_bin=False)
    group = simulated.found()
    _, link = simulated.round("/groups/delta")
    simulated.control("DELETE", f"/groups/{group}")
    assert simulated.round(link)[0] == [{"id": group, "@removed": {"reason": "deleted"}}]


def test_a_restored_group_returns_as_new_without_telling_its_members_again(
    simulated: Simulated, member: tuple[str, str]
) -> None:
    group, person = member
    simulated.control("DELETE", f"/groups/{group}")
    assert simulated.error("GET", f"/groups/{group}/members")[0] == 404
    _, link = simulated.round("/groups/delta?$select=displayName,members")
    simulated.control("POST", f"/groups/{group}/restore")
    assert simulated.round(link)[0] == [{"id": group, "displayName": "Test Group"}]
    assert members(simulated, group) == [person]


def test_deleting_a_group_tells_of_no_member(simulated: Simulated, member: tuple[str, str]) -> None:
    group, _ = member
    _, link = simulated.round("/groups/delta")
    simulated.control("DELETE", f"/groups/{group}")
    assert simulated.round(link)[0] == [{"id": group, "@removed": {"reason": "changed"}}]


def test_after_thirty_days_the_recycle_bin_is_emptied(simulated: Simulated, endpoint: Endpoint) -> None:
    person = simulated.hire()
    simulated.turn(authorization_lifetime_seconds=10 * MONTH, delta_token_lifetime_seconds=10 * MONTH)
    simulated.control("DELETE", f"/users/{person}")
    _, link = simulated.round("/users/delta")
    simulated.advance(MONTH - 3_600)
    simulated.sign_in()
    simulated.subscribe(endpoint)
    simulated.advance(3_601)
    assert endpoint.wait_for_items(1)[0]["changeType"] == "deleted"
    simulated.sign_in()
    assert simulated.round(link)[0] == [{"id": person, "@removed": {"reason": "deleted"}}]
