"""Section "Delta queries": requests, envelopes, and how objects are represented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Endpoint, Simulate, Simulated

SELECT = "$select=displayName,mobilePhone,jobTitle,businessPhones,accountEnabled"


def by_id(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in items}


@pytest.mark.parametrize(
    "path",
    [
        "/users/delta",
        "/users/microsoft.graph.delta",
        "/users/delta()",
        "/groups/delta",
        "/groups/microsoft.graph.delta",
    ],
)
def test_every_page_has_exactly_one_link_and_it_is_absolute(simulate: Simulate, path: str) -> None:
    simulated = simulate(users=30, groups=12, users_page_size=7, groups_page_size=5)
    pages = simulated.pages(path)
    assert len(pages) > 2
    for page in pages[:-1]:
        assert "@odata.deltaLink" not in page
        assert page["@odata.nextLink"].startswith(f"{simulated.origin}/v1.0/{path.split('/')[1]}/delta?$skiptoken=")
    assert "@odata.nextLink" not in pages[-1]
    assert pages[-1]["@odata.deltaLink"].startswith(f"{simulated.origin}/v1.0/{path.split('/')[1]}/delta?$deltatoken=")


def test_the_initial_round_shows_every_live_object_once(simulate: Simulate) -> None:
    simulated = simulate(users=45, groups=15, users_page_size=10)
    truth = simulated.control("GET", "/directory")
    for kind in ("users", "groups"):
        items, _ = simulated.round(f"/{kind}/delta?$select=displayName")
        live = [item["id"] for item in items if "@removed" not in item]
        assert sorted(live) == sorted(each["id"] for each in truth[kind])


def test_links_carry_the_host_that_was_asked(simulated: Simulated) -> None:
    simulated.sign_in()
    port = simulated.origin.rpartition(":")[2]
    page = simulated.get(f"https://localhost:{port}/v1.0/users/delta")
    assert page["@odata.deltaLink"].startswith(f"https://localhost:{port}/v1.0/")


def test_links_are_longer_than_a_short_column_and_hold_percent_escapes(simulated: Simulated) -> None:
    link = simulated.round("/users/delta")[1]
    assert len(link) > 1_024
    assert "%3d" in link


def test_users_come_in_pages_of_two_hundred(simulate: Simulate) -> None:
    pages = simulate(users=450).pages("/users/delta?$select=displayName")
    assert [len(page["value"]) for page in pages[:2]] == [200, 200]


@pytest.mark.parametrize("ignored", ["$top=3", "$orderby=displayName"])
def test_top_and_orderby_are_ignored(simulate: Simulate, ignored: str) -> None:
    simulated = simulate(users=20)
    plain = simulated.get("/users/delta?$select=displayName")
    assert simulated.get(f"/users/delta?$select=displayName&{ignored}")["value"] == plain["value"]


@pytest.mark.parametrize("refused", ["$expand=members", "$search=x", "$count=true", "$filter=displayName eq 'x'"])
def test_other_options_are_refused(simulated: Simulated, refused: str) -> None:
    assert simulated.error("GET", f"/groups/delta?{refused}")[:2] == (400, "Request_UnsupportedQuery")


def test_option_names_may_come_in_any_casing_and_with_an_escaped_dollar(simulated: Simulated) -> None:
    simulated.hire("Anna Nowak")
    for query in ("$SELECT=displayName", "%24select=DisplayName", "$Select=displayname"):
        items, _ = simulated.round(f"/users/delta?{query}")
        assert {"id", "displayName"} in [set(item) for item in items]
    link = simulated.round("/users/delta")[1]
    assert simulated.graph("GET", link.replace("$deltatoken", "$deltaToken")).status_code == 200


def test_what_was_never_set_is_left_out_and_what_was_cleared_is_null_or_empty(simulated: Simulated) -> None:
    person = simulated.hire(jobTitle="Engineer", businessPhones=["+48 22 600 00 00"])
    simulated.control("PATCH", f"/users/{person}", {"jobTitle": None, "businessPhones": []})
    shown = by_id(simulated.round(f"/users/delta?{SELECT}")[0])[person]
    assert shown == {
        "id": person,
        "displayName": "Test Person",
        "accountEnabled": True,
        "jobTitle": None,
        "businessPhones": [],
    }


def test_without_a_select_the_default_set_is_returned(simulated: Simulated) -> None:
    person = simulated.hire(mobilePhone="+48501000000", department="Sales")
    shown = by_id(simulated.round("/users/delta")[0])[person]
    assert shown["mobilePhone"] == "+48501000000"
    assert not {"accountEnabled", "department"} & set(shown)


def test_a_changed_object_comes_with_all_selected_properties(simulated: Simulated) -> None:
    person = simulated.hire(mobilePhone="+48501000000", jobTitle="Engineer")
    _, link = simulated.round(f"/users/delta?{SELECT}")
    simulated.control("PATCH", f"/users/{person}", {"mobilePhone": None})
    items, _ = simulated.round(link)
    assert items == [
        {
            "id": person,
            "displayName": "Test Person",
            "accountEnabled": True,
            "mobilePhone": None,
            "jobTitle": "Engineer",
        }
    ]


def test_return_minimal_leaves_unchanged_properties_out_but_shows_new_objects_whole(simulated: Simulated) -> None:
    person = simulated.hire(jobTitle="Engineer")
    _, link = simulated.round(f"/users/delta?{SELECT}")
    simulated.control("PATCH", f"/users/{person}", {"mobilePhone": "+48501000000"})
    hired = simulated.hire("Second Person", jobTitle="Manager")
    items = by_id(simulated.round(link, headers={"Prefer": "return=minimal"})[0])
    assert items[person] == {"id": person, "mobilePhone": "+48501000000"}
    assert items[hired]["jobTitle"] == "Manager"


def test_untracked_changes_do_not_show(simulated: Simulated) -> None:
    person = simulated.hire()
    _, link = simulated.round("/users/delta?$select=displayName,mobilePhone")
    simulated.control("PATCH", f"/users/{person}", {"department": "Sales", "accountEnabled": False})
    items, link = simulated.round(link)
    assert items == []
    simulated.control("PATCH", f"/users/{person}", {"mobilePhone": "+48501000000"})
    assert [item["id"] for item in simulated.round(link)[0]] == [person]


def test_a_disabled_account_is_an_update_and_only_if_selected(simulated: Simulated) -> None:
    person = simulated.hire()
    _, tracking = simulated.round("/users/delta?$select=accountEnabled")
    simulated.control("PATCH", f"/users/{person}", {"accountEnabled": False})
    assert simulated.round(tracking)[0] == [{"id": person, "accountEnabled": False}]


@pytest.mark.parametrize("name", ["aboutMe", "signInActivity", "mailboxSettings"])
def test_properties_outside_the_store_are_not_implemented(simulated: Simulated, name: str) -> None:
    assert simulated.error("GET", f"/users/delta?$select={name}")[:2] == (501, "NotImplemented")


def test_properties_that_do_not_exist_are_a_bad_request(simulated: Simulated) -> None:
    assert simulated.error("GET", "/users/delta?$select=shoeSize")[0] == 400
    assert simulated.error("GET", "/users/delta?$select=members")[0] == 400


def test_the_manager_is_tracked_when_selected(simulated: Simulated) -> None:
    boss, other, person = simulated.hire("Boss"), simulated.hire("Other Boss"), simulated.hire("Report")
    _, link = simulated.round("/users/delta?$select=displayName,manager")
    simulated.control("PATCH", f"/users/{person}", {"manager": boss})
    items, link = simulated.round(link)
    assert items == [
        {"id": person, "displayName": "Report", "manager@delta": [{"@odata.type": "#microsoft.graph.user", "id": boss}]}
    ]
    simulated.control("PATCH", f"/users/{person}", {"manager": other})
    simulated.control("PATCH", f"/users/{person}", {"manager": None})
    items, link = simulated.round(link)
    assert items[0]["manager@delta"] == [
        {"@odata.type": "#microsoft.graph.user", "id": other, "@removed": {"reason": "deleted"}}
    ]
    _, without = simulated.round("/users/delta?$select=displayName")
    simulated.control("PATCH", f"/users/{person}", {"manager": boss})
    assert simulated.round(without)[0] == []


def test_a_filter_shows_and_tracks_the_named_objects_only(simulated: Simulated) -> None:
    one, two, other = (simulated.hire(name) for name in ("One", "Two", "Other"))
    query = f"$filter=id eq '{one}' or id eq '{two}'&$select=displayName"
    items, link = simulated.round(f"/users/delta?{query}")
    assert set(by_id(items)) == {one, two}
    for person in (other, two):
        simulated.control("PATCH", f"/users/{person}", {"displayName": "Renamed"})
    assert set(by_id(simulated.round(link)[0])) == {two}


def test_a_filtered_round_has_empty_pages_that_go_on(simulated: Simulated) -> None:
    pages = simulated.pages(f"/users/delta?$filter=id eq '{simulated.hire()}'")
    assert pages[0]["value"] == []
    assert "@odata.nextLink" in pages[0]
    assert len(pages[-1]["value"]) == 1


def test_a_filter_holds_at_most_fifty_ids(simulated: Simulated) -> None:
    def clause(count: int) -> str:
        return " or ".join(f"id eq '{number:08d}-0000-4000-8000-000000000000'" for number in range(count))

    assert simulated.graph("GET", f"/users/delta?$filter={clause(50)}").status_code == 200
    assert simulated.error("GET", f"/users/delta?$filter={clause(51)}")[:2] == (400, "Request_UnsupportedQuery")


def test_later_pages_lose_the_select_list_from_their_context(simulate: Simulate) -> None:
    pages = simulate(users=10, users_page_size=4).pages("/users/delta?$select=displayName")
    assert pages[0]["@odata.context"].endswith("$metadata#users(displayName)")
    assert pages[1]["@odata.context"].endswith("$metadata#users")


def test_a_change_during_an_initial_round_is_never_lost(simulate: Simulate) -> None:
    """Changed before its page, after its page, created, deleted and restored: the next round shows them all."""
    simulated = simulate(users=30, users_page_size=5)
    first = simulated.get("/users/delta?$select=displayName")
    order = list(simulated.tenant.directory.truth.users)
    early, late, gone = order[0], order[-1], order[-2]
    [binned] = [person for person in order if simulated.tenant.directory.truth.live(person) is None]
    for person in (early, late):
        simulated.control("PATCH", f"/users/{person}", {"displayName": "Changed Meanwhile"})
    simulated.control("DELETE", f"/users/{gone}")
    hired = simulated.hire("Hired Meanwhile")
    simulated.control("POST", f"/users/{binned}/restore")
    rest, link = simulated.round(first["@odata.nextLink"])
    seen = by_id(first["value"] + rest)
    assert seen[late]["displayName"] == "Changed Meanwhile"
    following = by_id(simulated.round(link)[0])
    assert following[early]["displayName"] == "Changed Meanwhile"
    assert following[gone] == {"id": gone, "@removed": {"reason": "changed"}}
    assert following[hired]["displayName"] == "Hired Meanwhile"
    assert "displayName" in following[binned]


def test_a_change_during_an_incremental_round_is_never_lost(simulate: Simulate) -> None:
    simulated = simulate(users=30, users_page_size=5)
    _, link = simulated.round("/users/delta?$select=displayName")
    people = list(simulated.tenant.directory.truth.users)[:12]
    live = [person for person in people if simulated.tenant.directory.truth.live(person)]
    for person in live:
        simulated.control("PATCH", f"/users/{person}", {"displayName": "Once"})
    first = simulated.get(link)
    for person in live:
        simulated.control("PATCH", f"/users/{person}", {"displayName": "Twice"})
    _, link = simulated.round(first["@odata.nextLink"])
    following = by_id(simulated.round(link)[0])
    assert {item["displayName"] for item in following.values()} == {"Twice"}
    assert set(following) == set(live)


def test_delta_trails_behind_by_the_replication_lag(simulated: Simulated) -> None:
    person = simulated.hire()
    _, link = simulated.round("/users/delta?$select=displayName")
    simulated.turn(replication_lag_seconds=300)
    simulated.control("PATCH", f"/users/{person}", {"displayName": "First"})
    simulated.advance(200)
    simulated.control("PATCH", f"/users/{person}", {"displayName": "Second"})
    items, link = simulated.round(link)
    assert items == []
    assert simulated.fired("replication_lag_seconds") == 1
    assert simulated.get(f"/users/{person}")["displayName"] == "Second"
    simulated.advance(101)
    items, link = simulated.round(link)
    assert items == [{"id": person, "displayName": "First"}]
    simulated.advance(200)
    assert simulated.round(link)[0] == [{"id": person, "displayName": "Second"}]


def test_the_lag_of_delta_is_independent_of_the_delay_of_notifications(
    simulated: Simulated, endpoint: Endpoint
) -> None:
    _, link = simulated.round("/users/delta")
    simulated.subscribe(endpoint)
    simulated.turn(replication_lag_seconds=300)
    person = simulated.hire()
    assert endpoint.wait_for_items(1)[0]["resourceData"]["id"] == person
    items, link = simulated.round(link)
    assert items == []
    simulated.advance(301)
    assert [item["id"] for item in simulated.round(link)[0]] == [person]


def test_object_reads_have_a_lag_of_their_own(simulated: Simulated) -> None:
    simulated.turn(read_lag_seconds=60)
    person = simulated.hire()
    assert simulated.error("GET", f"/users/{person}")[:2] == (404, "Request_ResourceNotFound")
    assert person in by_id(simulated.round("/users/delta")[0])
    simulated.advance(61)
    assert simulated.get(f"/users/{person}")["id"] == person
