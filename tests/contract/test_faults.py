"""Every fault knob: that it does what it says, and that it counts when it did."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from simulator.knobs import KNOBS

if TYPE_CHECKING:
    from tests.contract.conftest import Endpoint, Simulate, Simulated

REPOSITORY = Path(__file__).resolve().parents[2]


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


@pytest.fixture
def watched(simulated: Simulated, endpoint: Endpoint) -> Simulated:
    simulated.subscribe(endpoint)
    return simulated


def test_every_knob_is_in_the_documentation_as_it_is() -> None:
    text = (REPOSITORY / "docs" / "simulator.md").read_text(encoding="utf-8")
    for name, knob in KNOBS.items():
        values = ", ".join(knob.choices) or knob.kind
        assert f"| `{name}` | {values} | {json.dumps(knob.default)} | {knob.meaning} |" in text, name
    documented = [line.split("`")[1] for line in text.splitlines() if re.match(r"\| `[a-z_]+` \| ", line)]
    assert documented == list(KNOBS)


def test_defaults_pass_their_own_checks() -> None:
    for name, knob in KNOBS.items():
        assert knob.check(knob.default) == knob.default, name


@pytest.mark.parametrize(
    "bad",
    [
        {"no_such_knob": 1},
        {"throttle": 1.5},
        {"throttle": True},
        {"delta_empty_pages": -1},
        {"delta_empty_pages": 0.5},
        {"users_page_size": 0},
        {"expired_token_shape": "teapot"},
        {"hidden_share": "half"},
        {"replication_lag_seconds": -1},
    ],
    ids=str,
)
def test_a_bad_setting_is_refused_and_changes_nothing(simulated: Simulated, bad: dict[str, Any]) -> None:
    before = simulated.control("GET", "/faults")["settings"]
    answer = simulated.control("PUT", "/faults", {"retry_after_seconds": 9, **bad}, expect=400)
    name = next(iter(bad))
    assert name in answer["error"]
    assert simulated.control("GET", "/faults")["settings"] == before


def test_an_unknown_knob_is_answered_with_those_that_exist(simulated: Simulated) -> None:
    answer = simulated.control("PUT", "/faults", {"no_such_knob": 1}, expect=400)
    assert all(name in answer["error"] for name in KNOBS)


def test_a_reset_restores_settings_and_counters(simulate: Simulate) -> None:
    simulated = simulate(users_page_size=3)
    simulated.turn(throttle_next=5, users_page_size=9)
    simulated.graph("GET", "/users")
    report = simulated.control("POST", "/faults/reset")
    assert report["settings"]["users_page_size"] == 3
    assert report["settings"]["throttle_next"] == 0
    assert report["fired"] == {}


def test_the_same_seed_draws_the_same_faults(simulated: Simulated) -> None:
    simulated.sign_in()

    def draws() -> list[int]:
        simulated.turn(seed=7, throttle=0.5)
        return [simulated.graph("GET", "/users").status_code for _ in range(20)]

    first = draws()
    assert set(first) == {200, 429}
    assert draws() == first
    assert simulated.fired("throttle") == 2 * first.count(429)


# Notifications


def test_a_notification_can_come_twice(watched: Simulated, endpoint: Endpoint) -> None:
    watched.turn(notification_duplicate=1.0)
    watched.hire()
    watched.advance(2)
    first, second = endpoint.wait_for_items(2)
    assert first == second
    assert watched.fired("notification_duplicate") == 1


def test_a_notification_can_be_dropped(watched: Simulated, endpoint: Endpoint) -> None:
    watched.turn(notification_drop=1.0)
    watched.hire("Unheard Of")
    watched.turn(notification_drop=0)
    heard = watched.hire("Heard Of")
    assert [item["resourceData"]["id"] for item in endpoint.wait_for_items(1)] == [heard]
    assert watched.fired("notification_drop") == 1
    assert watched.statistic("notifications", "dropped") == 1


def test_notifications_can_overtake_each_other(watched: Simulated, endpoint: Endpoint) -> None:
    watched.turn(notification_reorder=1.0, notification_reorder_seconds=600, notification_batch_window_seconds=0)
    order = [watched.hire(f"Person {number}") for number in range(8)]
    for _ in range(60):
        watched.advance(10)
    arrived = [item["resourceData"]["id"] for item in endpoint.wait_for_items(8)]
    assert sorted(arrived) == sorted(order)
    assert arrived != order
    assert watched.fired("notification_reorder") == 8


def test_notifications_can_be_delayed(watched: Simulated, endpoint: Endpoint) -> None:
    watched.turn(notification_delay_seconds=900)
    late = watched.hire("Late")
    watched.turn(notification_delay_seconds=0)
    early = watched.hire("Early")
    assert [item["resourceData"]["id"] for item in endpoint.wait_for_items(1)] == [early]
    watched.advance(901)
    assert [item["resourceData"]["id"] for item in endpoint.wait_for_items(2)] == [early, late]
    assert watched.fired("notification_delay_seconds") == 1


@pytest.mark.parametrize(
    ("knob", "field"),
    [
        ("notification_wrong_tenant", "tenantId"),
        ("notification_wrong_client_state", "clientState"),
        ("notification_unknown_subscription", "subscriptionId"),
        ("notification_unknown_properties", "futureProperty"),
        ("notification_extra_enum", "changeType"),
    ],
)
def test_a_forged_or_odd_notification_comes_besides_the_true_one(
    watched: Simulated, endpoint: Endpoint, knob: str, field: str
) -> None:
    watched.turn(**{knob: 1.0})
    watched.hire()
    first, second = endpoint.wait_for_items(2)
    different = {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}
    assert different == {field}
    assert watched.fired(knob) == 1


# Delta


def test_a_page_can_show_an_object_twice(simulated: Simulated) -> None:
    simulated.turn(delta_duplicate_in_page=1.0)
    items, _ = simulated.round("/users/delta")
    assert len(items) == len(set(ids(items))) + 1
    assert simulated.fired("delta_duplicate_in_page") == 1


def test_a_page_can_repeat_an_object_of_the_page_before(simulate: Simulate) -> None:
    simulated = simulate(users=20, users_page_size=5, delta_duplicate_across_pages=1.0)
    pages = simulated.pages("/users/delta")
    for before, after in pairwise(pages):
        assert set(ids(before["value"])) & set(ids(after["value"]))
    assert simulated.fired("delta_duplicate_across_pages") == len(pages) - 1


def test_a_round_can_begin_with_empty_pages(simulated: Simulated) -> None:
    simulated.turn(delta_empty_pages=3)
    pages = simulated.pages("/users/delta")
    assert [len(page["value"]) > 0 for page in pages] == [False, False, False, True]
    assert len({page.get("@odata.nextLink") for page in pages}) == 4
    assert simulated.fired("delta_empty_pages") == 1


def test_an_update_can_come_with_its_changed_properties_only(simulated: Simulated) -> None:
    person = simulated.hire(jobTitle="Engineer")
    _, link = simulated.round("/users/delta?$select=displayName,jobTitle")
    simulated.turn(delta_sparse_updates=1.0)
    simulated.control("PATCH", f"/users/{person}", {"jobTitle": "Manager"})
    assert simulated.round(link)[0] == [{"id": person, "jobTitle": "Manager"}]
    assert simulated.fired("delta_sparse_updates") == 1


def test_a_round_can_repeat_the_round_before_it(simulated: Simulated) -> None:
    _, link = simulated.round("/users/delta")
    one = simulated.hire("One")
    items, link = simulated.round(link)
    assert ids(items) == [one]
    two = simulated.hire("Two")
    simulated.turn(delta_replay_rounds=1)
    items, link = simulated.round(link)
    assert set(ids(items)) == {one, two}
    assert simulated.fired("delta_replay_rounds") == 1
    assert simulated.round(link)[0] == []


def test_a_member_can_be_of_an_unknown_type(simulated: Simulated) -> None:
    group, person = simulated.found(), simulated.hire()
    simulated.join(group, person)
    simulated.turn(delta_unknown_member_type=1.0)
    [item] = [item for item in simulated.round("/groups/delta")[0] if "members@delta" in item]
    assert [entry["@odata.type"] for entry in item["members@delta"]] == [
        "#microsoft.graph.user",
        "#microsoft.graph.agentIdentity",
    ]
    assert simulated.fired("delta_unknown_member_type") == 1


def test_an_object_can_have_unknown_properties(simulated: Simulated) -> None:
    simulated.turn(delta_unknown_properties=1.0)
    items, _ = simulated.round("/users/delta?$select=displayName")
    assert sum("futureProperty" in item for item in items) == 1
    assert simulated.fired("delta_unknown_properties") == 1


def test_a_page_can_link_to_itself(simulate: Simulate) -> None:
    simulated = simulate(users=20, users_page_size=5)
    link = simulated.get("/users/delta")["@odata.nextLink"]
    simulated.turn(delta_next_link_loop=1)
    page = simulated.get(link)
    assert page["@odata.nextLink"] == link
    assert simulated.fired("delta_next_link_loop") == 1
    assert simulated.get(link)["@odata.nextLink"] != link


def test_a_link_can_point_to_another_host(simulated: Simulated) -> None:
    simulated.turn(delta_foreign_next_link=1)
    link = simulated.get("/users/delta")["@odata.deltaLink"]
    assert link.startswith("https://graph.example.net/v1.0/users/delta?$deltatoken=")
    assert simulated.fired("delta_foreign_next_link") == 1


def test_everybody_can_disappear_with_a_status_of_200(simulated: Simulated) -> None:
    simulated.turn(hidden_share=1.0)
    items, link = simulated.round("/users/delta")
    assert [item for item in items if "@removed" not in item] == []
    assert link
    assert simulated.get("/users")["value"] == []
    assert simulated.fired("hidden_share") > 0


def test_a_part_of_the_people_can_disappear_always_the_same_ones(simulated: Simulated) -> None:
    def listed() -> set[str]:
        return {item["id"] for item in simulated.get("/users")["value"]}

    everybody = listed()
    simulated.turn(hidden_share=0.5)
    shown = {item["id"] for item in simulated.round("/users/delta")[0]}
    part = listed()
    assert set() < part < everybody
    assert listed() == part
    assert shown & everybody == part
    assert simulated.fired("hidden_share") > 0


def test_a_token_can_be_expired_by_chance(simulated: Simulated) -> None:
    _, link = simulated.round("/users/delta")
    simulated.turn(expire_token=1.0, expired_token_shape="sync_state_not_found")
    assert simulated.error("GET", link)[:2] == (400, "syncStateNotFound")
    assert simulated.graph("GET", "/users/delta").status_code == 200
    assert simulated.fired("expire_token") == 1


# HTTP


@pytest.mark.parametrize("status", ["500", "502", "503", "504"])
def test_a_request_can_meet_a_server_error(simulated: Simulated, status: int) -> None:
    simulated.turn(server_error=1.0, server_error_status=status)
    assert simulated.error("GET", "/users/delta")[0] == int(status)
    assert simulated.fired("server_error") == 1


def test_server_errors_can_be_of_any_kind(simulated: Simulated) -> None:
    simulated.turn(server_error_next=40)
    seen = {simulated.graph("GET", "/users").status_code for _ in range(40)}
    assert seen == {500, 502, 503, 504}
    assert simulated.graph("GET", "/users").status_code == 200
    assert simulated.fired("server_error_next") == 40


def test_the_login_can_fail_for_a_while(simulated: Simulated) -> None:
    simulated.turn(server_error_login=1.0)
    discovery = f"/{simulated.tenant.id}/v2.0/.well-known/openid-configuration"
    assert simulated.token().status_code == simulated.request("GET", discovery).status_code == 503
    assert simulated.fired("server_error_login") == 2


def test_a_valid_token_can_be_refused_once_in_a_while(simulated: Simulated) -> None:
    simulated.turn(transient_unauthorized=1.0)
    assert simulated.error("GET", "/users")[:2] == (401, "InvalidAuthenticationToken")
    simulated.turn(transient_unauthorized=0)
    simulated.get("/users")
    assert simulated.fired("transient_unauthorized") == 1


def test_an_answer_can_be_slow(simulated: Simulated) -> None:
    simulated.sign_in()
    simulated.turn(slow_response=1.0, slow_response_seconds=30)
    with pytest.raises(requests.ReadTimeout):
        simulated.graph("GET", "/users", timeout=(5, 0.1))
    assert simulated.fired("slow_response") == 1


def test_a_connection_can_be_reset(simulated: Simulated) -> None:
    simulated.sign_in()
    simulated.turn(connection_reset=1.0)
    with pytest.raises(requests.ConnectionError):
        simulated.graph("GET", "/users")
    assert simulated.fired("connection_reset") == 1
    simulated.turn(connection_reset=0)
    simulated.get("/users")


def test_json_can_end_in_the_middle(simulated: Simulated) -> None:
    simulated.turn(truncated_json=1.0)
    answer = simulated.graph("GET", "/users/delta")
    assert answer.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert simulated.fired("truncated_json") == 1


def test_a_web_page_can_come_instead_of_json(simulated: Simulated) -> None:
    simulated.turn(html_instead_of_json=1.0)
    answer = simulated.graph("GET", "/users/delta")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.text.startswith("<!DOCTYPE html>")
    assert simulated.fired("html_instead_of_json") == 1
