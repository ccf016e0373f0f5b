"""The promise of delta queries as a whole: who follows the links arrives at the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Simulate, Simulated

NAMES = ("displayName", "mobilePhone", "businessPhones", "accountEnabled", "department", "mail")
PATHS = {
    "users": f"/users/delta?$select={','.join(NAMES)}",
    "groups": "/groups/delta?$select=displayName,members",
}


class Follower:
    """A client that applies every page, while the directory changes between any two of them."""

    def __init__(self, simulated: Simulated, seed: int) -> None:
        self.simulated = simulated
        self.seed = seed
        self.objects: dict[str, dict[str, dict[str, Any]]] = {"users": {}, "groups": {}}
        self.edges: dict[str, set[str]] = {}
        self.links = dict(PATHS)

    def follow(self, kind: str, *, disturbed: bool) -> None:
        """Follow one round to its end."""
        page: dict[str, Any] = {"@odata.nextLink": self.links[kind]}
        while "@odata.deltaLink" not in page:
            page = self.simulated.get(page["@odata.nextLink"])
            self._take(page, kind)
            if disturbed:
                self.seed += 1
                self.simulated.control("POST", "/random-changes", {"count": 7, "seed": self.seed})
        self.links[kind] = page["@odata.deltaLink"]

    def _take(self, page: dict[str, Any], kind: str) -> None:
        for item in page["value"]:
            if "@removed" in item:
                self.objects[kind].pop(item["id"], None)
                continue
            self.objects[kind].setdefault(item["id"], {}).update(item)
            for entry in item.get("members@delta", ()):
                known = self.edges.setdefault(item["id"], set())
                (known.discard if "@removed" in entry else known.add)(entry["id"])


def restored(simulated: Simulated) -> set[str]:
    log = simulated.control("GET", "/changes")["changes"]
    return {change["object_id"] for change in log if change["kind"].endswith(".restored")}


def compare_groups(follower: Follower, truth: dict[str, Any]) -> None:
    """Compare memberships, leaving out whoever came back: the groups delta says nothing of those."""
    came_back = restored(follower.simulated)
    steady = {user["id"] for user in truth["users"]} - came_back
    for group in truth["groups"]:
        assert follower.objects["groups"].pop(group["id"])["displayName"] == group["displayName"]
        if group["id"] not in came_back:
            told = follower.edges.get(group["id"], set())
            assert told & steady == {member["id"] for member in group["members"]} & steady
    assert follower.objects["groups"] == {}


@pytest.mark.parametrize("seed", [1_000, 2_000, 3_000, 4_000])
def test_following_the_delta_leads_to_the_truth(simulate: Simulate, seed: int) -> None:
    simulated = simulate(
        users=60,
        groups=20,
        users_page_size=9,
        members_per_page=13,
        members_per_group=8,
        delta_duplicate_in_page=0.2,
        delta_duplicate_across_pages=0.2,
        initial_round_shows_removed=seed > 2_000,
    )
    follower = Follower(simulated, seed)
    for disturbed in (True, True, True, False):
        for kind in PATHS:
            follower.follow(kind, disturbed=disturbed)
    truth = simulated.control("GET", "/directory")
    for user in truth["users"]:
        found = follower.objects["users"].pop(user["id"])
        assert {name: found.get(name) for name in NAMES} == {name: user.get(name) for name in NAMES}
    assert follower.objects["users"] == {}
    compare_groups(follower, truth)
