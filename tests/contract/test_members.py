"""Section "Groups: members@delta": slices, types, and what an entry says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Simulate, Simulated


@pytest.fixture
def company(simulate: Simulate) -> Simulated:
    """A company whose largest group is told in many slices."""
    return simulate(users=60, groups=16, members_per_page=15, members_per_group=10)


def entries(items: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(item["id"], entry) for item in items for entry in item.get("members@delta", ())]


def edges(items: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return the edges that remain when the entries are applied in order of arrival."""
    found: set[tuple[str, str]] = set()
    for group, entry in entries(items):
        if "@removed" in entry:
            found.discard((group, entry["id"]))
        else:
            found.add((group, entry["id"]))
    return found


def true_edges(simulated: Simulated) -> set[tuple[str, str]]:
    groups = simulated.control("GET", "/directory")["groups"]
    return {(group["id"], member["id"]) for group in groups for member in group["members"]}


def test_the_union_of_all_slices_is_the_membership(company: Simulated) -> None:
    items, _ = company.round("/groups/delta?$select=displayName,members")
    assert edges(items) == true_edges(company)


def test_a_large_group_is_repeated_with_the_same_properties_on_pages_that_are_not_adjacent(company: Simulated) -> None:
    pages = company.pages("/groups/delta?$select=displayName,members")
    largest = max(company.control("GET", "/directory")["groups"], key=lambda group: len(group["members"]))
    showing = [at for at, page in enumerate(pages) if largest["id"] in {item["id"] for item in page["value"]}]
    assert len(showing) >= 6
    names = {item["displayName"] for page in pages for item in page["value"] if item["id"] == largest["id"]}
    assert names == {"Everyone"}


def test_pages_shrink_as_member_lists_grow(company: Simulated) -> None:
    pages = company.pages("/groups/delta?$select=displayName,members")
    assert all(len(entries(page["value"])) <= 15 for page in pages)
    assert 1 in {len(page["value"]) for page in pages}


def test_slices_of_several_large_groups_take_turns(simulate: Simulate) -> None:
    simulated = simulate(users=40, members_per_page=12, members_per_group=10)
    groups = [simulated.found(f"Group {number}") for number in range(2)]
    people = [
        person for person in simulated.tenant.directory.truth.users if simulated.tenant.directory.truth.live(person)
    ]
    for group in groups:
        for person in people[:35]:
            simulated.join(group, person)
    order = [item["id"] for page in simulated.pages("/groups/delta") for item in page["value"]]
    turns = [group for group in order if group in groups]
    assert turns != sorted(turns, key=groups.index)


def test_members_are_type_and_id_and_of_every_type(company: Simulated) -> None:
    items, _ = company.round("/groups/delta?$select=members")
    found = [entry for _, entry in entries(items)]
    assert all(set(entry) <= {"@odata.type", "id", "@removed"} for entry in found)
    assert {entry["@odata.type"] for entry in found} == {
        "#microsoft.graph.user",
        "#microsoft.graph.group",
        "#microsoft.graph.device",
        "#microsoft.graph.servicePrincipal",
        "#microsoft.graph.orgContact",
    }


def test_an_empty_group_has_no_member_list_at_all(simulated: Simulated) -> None:
    group = simulated.found()
    items, _ = simulated.round("/groups/delta")
    [shown] = [item for item in items if item["id"] == group]
    assert "members@delta" not in shown


def test_without_members_in_the_select_they_are_neither_shown_nor_tracked(simulated: Simulated) -> None:
    group = simulated.found()
    items, link = simulated.round("/groups/delta?$select=displayName")
    assert entries(items) == []
    simulated.join(group, simulated.hire())
    assert simulated.round(link)[0] == []


def test_without_a_select_members_are_shown_and_tracked(simulated: Simulated) -> None:
    group = simulated.found()
    _, link = simulated.round("/groups/delta")
    person = simulated.hire()
    simulated.join(group, person)
    assert edges(simulated.round(link)[0]) == {(group, person)}


def test_a_membership_change_shows_the_group_with_its_properties_and_the_change_only(simulated: Simulated) -> None:
    group, stays, joins, leaves = simulated.found(), *(simulated.hire(name) for name in ("Stays", "Joins", "Leaves"))
    for person in (stays, leaves):
        simulated.join(group, person)
    _, link = simulated.round("/groups/delta?$select=displayName,members")
    simulated.join(group, joins)
    simulated.part(group, leaves)
    items, link = simulated.round(link)
    assert items == [
        {
            "id": group,
            "displayName": "Test Group",
            "members@delta": [
                {"@odata.type": "#microsoft.graph.user", "id": joins},
                {"@odata.type": "#microsoft.graph.user", "id": leaves, "@removed": {"reason": "deleted"}},
            ],
        }
    ]
    simulated.control("PATCH", f"/groups/{group}", {"displayName": "Renamed"})
    assert simulated.round(link)[0] == [{"id": group, "displayName": "Renamed"}]


def test_a_member_that_joined_and_left_shows_as_removed(simulated: Simulated) -> None:
    group, person = simulated.found(), simulated.hire()
    _, link = simulated.round("/groups/delta")
    simulated.join(group, person)
    simulated.part(group, person)
    [(_, entry)] = entries(simulated.round(link)[0])
    assert entry["@removed"] == {"reason": "deleted"}


def test_many_incremental_member_changes_are_sliced_too(simulate: Simulate) -> None:
    simulated = simulate(users=40, members_per_page=7)
    group = simulated.found()
    _, link = simulated.round("/groups/delta?$select=displayName,members")
    people = [
        person for person in simulated.tenant.directory.truth.users if simulated.tenant.directory.truth.live(person)
    ]
    for person in people[:30]:
        simulated.join(group, person)
    pages = simulated.pages(link)
    assert len(pages) >= 4
    assert all(item["displayName"] == "Test Group" for page in pages for item in page["value"])
    assert edges([item for page in pages for item in page["value"]]) == {(group, person) for person in people[:30]}


def test_a_nested_group_is_a_member_of_type_group_and_its_members_are_not_told(simulated: Simulated) -> None:
    outer, inner, person = simulated.found("Outer"), simulated.found("Inner"), simulated.hire()
    simulated.join(outer, inner)
    simulated.join(inner, person)
    items, _ = simulated.round("/groups/delta?$select=members")
    assert edges(items) == {(outer, inner), (inner, person)}
    assert {"@odata.type": "#microsoft.graph.group", "id": inner} in [entry for _, entry in entries(items)]


@pytest.mark.parametrize("shown", [True, False])
def test_an_initial_round_may_list_former_members_as_removed(simulated: Simulated, shown: bool) -> None:
    group, person = simulated.found(), simulated.hire()
    simulated.join(group, person)
    simulated.part(group, person)
    simulated.turn(initial_round_shows_removed_members=shown)
    items, _ = simulated.round("/groups/delta?$select=members")
    expected = {"@odata.type": "#microsoft.graph.user", "id": person, "@removed": {"reason": "deleted"}}
    assert (expected in [entry for _, entry in entries(items)]) == shown
    assert edges(items) == set()
    assert (simulated.fired("initial_round_shows_removed_members") > 0) == shown


def test_members_that_change_while_a_large_group_is_being_told_are_not_lost(simulate: Simulate) -> None:
    simulated = simulate(users=60, groups=1, members_per_page=10, members_per_group=10)
    [group] = simulated.tenant.directory.truth.groups.read(0).__next__()[1:]
    before = sorted(member for owner, member in true_edges(simulated) if owner == group)
    first = simulated.get("/groups/delta?$select=members")
    for person in before[:20]:
        simulated.part(group, person)
    joined = simulated.hire()
    simulated.join(group, joined)
    simulated.join(group, before[0])
    rest, link = simulated.round(first["@odata.nextLink"])
    following, _ = simulated.round(link)
    assert edges(first["value"] + rest + following) == true_edges(simulated)


def test_a_user_may_be_in_a_group_page_before_the_users_round_shows_them(simulated: Simulated) -> None:
    group = simulated.found()
    _, users = simulated.round("/users/delta")
    person = simulated.hire()
    simulated.join(group, person)
    assert (group, person) in edges(simulated.round("/groups/delta")[0])
    assert person in {item["id"] for item in simulated.round(users)[0]}
