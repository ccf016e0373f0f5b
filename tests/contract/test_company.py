"""The invented company: deterministic, of any size, with everything that real directories hold, and lively."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import phonenumbers
import pytest

from simulator.company import Company as Changes
from simulator.population import DirectoryObject
from simulator.seed import Company, found_company

if TYPE_CHECKING:
    from tests.contract.conftest import Simulate, Simulated


@pytest.fixture(scope="module")
def company() -> Company:
    return found_company(seed=1, number=0, users=1_000, groups=60)


def live(company: Company, kind: str) -> list[DirectoryObject]:
    population = company.population
    return [found for each in population.rosters[kind] if (found := population.live(each)) is not None]


def named(company: Company, name: str) -> list[DirectoryObject]:
    return [group for group in live(company, "group") if group.properties["displayName"] == name]


def member_types(company: Company, group: DirectoryObject) -> set[str]:
    return {member.type for _, member in company.population.live_members(group.id)}


def test_the_same_seed_founds_the_same_company() -> None:
    one, two = (found_company(seed=4, number=0, users=50, groups=20) for _ in range(2))
    assert one.population.objects == two.population.objects
    assert {group: list(members) for group, members in one.population.members.items()} == {
        group: list(members) for group, members in two.population.members.items()
    }
    assert (one.tenant_id, one.application) == (two.tenant_id, two.application)
    other = found_company(seed=5, number=0, users=50, groups=20)
    assert other.tenant_id != one.tenant_id
    assert other.application.client_secret != one.application.client_secret


def test_it_has_as_many_live_users_and_groups_as_wanted(company: Company) -> None:
    assert len(live(company, "user")) == 1_000
    assert len(live(company, "group")) == 60
    for users, groups in ((0, 0), (1, 0), (3, 5), (0, 14)):
        small = found_company(seed=1, number=0, users=users, groups=groups)
        assert (len(live(small, "user")), len(live(small, "group"))) == (users, groups)


def test_the_recycle_bin_is_not_empty(company: Company) -> None:
    population = company.population
    for kind in ("user", "group"):
        assert [each for each in population.rosters[kind] if population.objects[each].status == "deleted"]


def test_people_are_reachable_in_every_way_that_is_seen_in_practice(company: Company) -> None:
    users = [user.properties for user in live(company, "user")]
    assert any(user.get("mobilePhone", "").startswith("+") for user in users if user.get("mobilePhone"))
    assert any("mobilePhone" not in user and user.get("businessPhones") for user in users), "business number only"
    assert any(user.get("mobilePhone", "x") is None for user in users), "cleared"
    assert any("mobilePhone" not in user and "businessPhones" not in user for user in users), "never set"
    assert any(user.get("mobilePhone") == "see reception" for user in users), "rubbish"
    assert any(user.get("mobilePhone") and not user["mobilePhone"].strip() for user in users), "blank"
    assert any("ext." in (user.get("mobilePhone") or "") for user in users), "extension"
    numbers = [user["mobilePhone"] for user in users if len(user.get("mobilePhone") or "") > 8]
    assert len(numbers) > len(set(numbers)), "the same number on two people"
    assert all(len(user.get("mobilePhone") or "") <= 64 for user in users)


def test_most_numbers_are_valid_in_the_country_of_the_person(company: Company) -> None:
    checked = valid = 0
    for user in live(company, "user"):
        number, region = user.properties.get("mobilePhone"), user.properties.get("usageLocation")
        if number and region and sum(sign.isdigit() for sign in number) > 8:
            checked += 1
            try:
                valid += phonenumbers.is_valid_number(phonenumbers.parse(number, region))
            except phonenumbers.NumberParseException:
                continue
    assert checked > 400
    assert valid / checked > 0.9


def test_there_are_guests_disabled_accounts_and_properties_that_were_never_set(company: Company) -> None:
    users = [user.properties for user in live(company, "user")]
    guests = [user for user in users if user.get("userType") == "Guest"]
    assert guests
    assert all("#EXT#" in guest["userPrincipalName"] for guest in guests)
    assert any(user.get("accountEnabled") is False for user in users)
    for name in ("usageLocation", "jobTitle", "mail", "department"):
        assert any(name not in user for user in users), name
    names = [user["userPrincipalName"].lower() for user in users]
    assert len(names) == len(set(names))


def test_everybodys_group_is_larger_than_a_thousand_and_of_mixed_types(company: Company) -> None:
    [everyone] = named(company, "Everyone")
    assert len(company.population.members[everyone.id]) > 1_000
    assert member_types(company, everyone) == {"user", "device", "servicePrincipal"}
    [suppliers] = named(company, "Suppliers")
    assert "orgContact" in member_types(company, suppliers)


def test_groups_are_nested_with_a_cycle_and_a_diamond(company: Company) -> None:
    def inside(name: str, outer: str) -> bool:
        [group], [parent] = named(company, name), named(company, outer)
        return group.id in company.population.members[parent.id]

    assert inside("Region Centre", "Region North")
    assert inside("Region South", "Region Centre")
    assert inside("Region North", "Region South")
    assert inside("Board", "Management")
    assert inside("Heads of Department", "Management")
    assert inside("Key Account", "Board")
    assert inside("Key Account", "Heads of Department")


def test_one_group_is_empty_two_share_a_name_and_all_kinds_occur(company: Company) -> None:
    [newcomers] = named(company, "Newcomers")
    assert newcomers.id not in company.population.members
    assert len(named(company, "Project Phoenix")) == 2
    kinds = {
        (bool(group.properties["groupTypes"]), group.properties["mailEnabled"], group.properties["securityEnabled"])
        for group in live(company, "group")
    }
    assert kinds == {(True, True, False), (False, False, True), (False, True, False), (False, True, True)}


def test_many_random_changes_are_of_every_kind(simulate: Simulate) -> None:
    simulated = simulate(users=80, groups=20)
    made = simulated.control("POST", "/random-changes", {"count": 400, "seed": 7})
    everything = set(Changes(simulated.tenant.directory, "x.example", None).acts)
    assert set(made["made"]) == everything
    assert made["total"] == sum(made["made"].values()) == 400
    kinds = {change["kind"] for change in simulated.control("GET", "/changes")["changes"]}
    assert {
        "user.created",
        "user.removed",
        "user.restored",
        "user.purged",
        "user.number_changed",
        "user.enabled",
        "user.disabled",
        "user.manager_changed",
        "group.created",
        "group.renamed",
        "group.removed",
        "group.restored",
        "group.purged",
        "member.added",
        "member.removed",
    } <= kinds


def test_random_changes_repeat_with_their_seed(simulate: Simulate) -> None:
    def summaries() -> list[str]:
        simulated = simulate(users=40, groups=15, seed=3)
        simulated.control("POST", "/random-changes", {"count": 150, "seed": 9})
        return [change["summary"] for change in simulated.control("GET", "/changes")["changes"]]

    assert summaries() == summaries()


def test_a_lively_company_changes_by_itself_until_it_rests(simulated: Simulated) -> None:
    simulated.control("PUT", "/lively", {"changes_per_second": 500, "seed": 1})
    deadline = time.monotonic() + 10
    while simulated.control("GET", "/changes")["head"] < 20:
        assert time.monotonic() < deadline
    assert simulated.control("GET", "/lively")["running"] is True
    report = simulated.control("DELETE", "/lively")
    assert report["running"] is False
    head = simulated.control("GET", "/changes")["head"]
    assert report["changes_made"] >= 20
    assert simulated.control("POST", "/random-changes", {"count": 1})["first_seq"] == head + 1


def test_pages_do_not_cost_more_in_a_large_company(simulate: Simulate) -> None:
    """A page of a round looks at what it shows, and not at the rest of the directory."""
    simulated = simulate(users=20_000, groups=3)
    _, link = simulated.round("/groups/delta?$select=displayName")
    simulated.get("/users/delta?$deltatoken=latest")
    looked_at: list[str] = []
    population, _ = simulated.tenant.delta_replica.current()
    objects = population.objects

    class Watched(dict[str, DirectoryObject]):
        def get(self, key: str, default: Any = None) -> Any:
            looked_at.append(key)
            return objects.get(key, default)

        def __getitem__(self, key: str) -> DirectoryObject:
            looked_at.append(key)
            return objects[key]

    population.objects = Watched()
    page = simulated.get("/users/delta?$select=displayName")
    assert len(page["value"]) == 200
    assert len(looked_at) < 500
    looked_at.clear()
    simulated.get(link)
    assert looked_at == []
