"""Section "Delivery of change notifications": bodies, retries, slow endpoints, and what is not guaranteed."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Endpoint, Reply, Simulate, Simulated

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3,7})?(Z|\+00:00)")


@pytest.fixture
def watched(simulated: Simulated, endpoint: Endpoint) -> Simulated:
    """The simulator with users and groups subscribed at one endpoint, for the time of the whole test."""
    simulated.turn(authorization_lifetime_seconds=10_000_000)
    simulated.subscribe(endpoint, "users", expirationDateTime=simulated.in_days(20))
    simulated.subscribe(endpoint, "groups", clientState="other-secret", expirationDateTime=simulated.in_days(20))
    return simulated


def test_a_change_is_notified_with_capitalised_names_and_without_an_id(watched: Simulated, endpoint: Endpoint) -> None:
    person = watched.hire()
    [item] = endpoint.wait_for_items(1)
    assert item["changeType"] == "updated"
    assert item["clientState"] == "agreed-secret"
    assert item["resource"] == f"Users/{person}"
    assert item["resourceData"]["@odata.type"] == "#Microsoft.Graph.User"
    assert item["resourceData"]["@odata.id"] == f"Users/{person}"
    assert item["resourceData"]["id"] == person
    assert item["resourceData"]["organizationId"] == item["tenantId"] == watched.tenant.id
    assert item["resourceData"]["sequenceNumber"] > 2**53
    assert "id" not in item
    assert "lifecycleEvent" not in item


def test_the_request_is_json_without_user_agent_or_authorization(watched: Simulated, endpoint: Endpoint) -> None:
    watched.hire()
    [got] = endpoint.wait_for_deliveries(1)
    assert got.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "User-Agent" not in got.headers
    assert "Authorization" not in got.headers


def test_the_query_of_the_address_is_sent_on_every_delivery(simulated: Simulated, endpoint: Endpoint) -> None:
    simulated.subscribe(endpoint, notificationUrl=f"{endpoint.url}?code=a%2Fb")
    simulated.hire()
    assert endpoint.wait_for_deliveries(1)[0].query == "code=a%2Fb"


def test_creating_changing_deleting_and_restoring_are_all_updated_and_purging_is_deleted(
    watched: Simulated, endpoint: Endpoint
) -> None:
    person = watched.hire()
    watched.control("PATCH", f"/users/{person}", {"mobilePhone": "+48501000000"})
    watched.control("DELETE", f"/users/{person}")
    watched.control("POST", f"/users/{person}/restore")
    watched.control("POST", f"/users/{person}/purge")
    items = sorted(endpoint.wait_for_items(5), key=lambda item: item["resourceData"]["sequenceNumber"])
    assert [item["changeType"] for item in items] == ["updated"] * 4 + ["deleted"]


def test_membership_changes_are_group_updates_with_removed_as_a_plain_string(
    watched: Simulated, endpoint: Endpoint
) -> None:
    person, group = watched.hire(), watched.found()
    endpoint.wait_for_items(2)
    watched.join(group, person)
    joined = endpoint.wait_for_items(3)[2]
    watched.part(group, person)
    left = endpoint.wait_for_items(4)[3]
    assert joined["resource"] == f"Groups/{group}"
    assert joined["resourceData"]["@odata.type"] == "#Microsoft.Graph.Group"
    assert joined["resourceData"]["members@delta"] == [{"id": person}]
    assert left["resourceData"]["members@delta"] == [{"id": person, "@removed": "deleted"}]
    assert "eventTime" not in left["resourceData"]


def test_deleting_a_member_does_not_notify_about_its_groups(watched: Simulated, endpoint: Endpoint) -> None:
    person, group = watched.hire(), watched.found()
    watched.join(group, person)
    endpoint.wait_for_items(3)
    watched.control("DELETE", f"/users/{person}")
    watched.hire("Marker")
    items = endpoint.wait_for_items(5)
    assert [item["resource"].split("/")[0] for item in items[3:]] == ["Users", "Users"]


def test_properties_that_delta_does_not_track_are_notified_all_the_same(watched: Simulated, endpoint: Endpoint) -> None:
    person = watched.hire()
    endpoint.wait_for_items(1)
    _, link = watched.round("/users/delta")
    watched.control("PATCH", f"/users/{person}", {"aboutMe": "likes chess"})
    endpoint.wait_for_items(2)
    assert watched.round(link)[0] == []


def test_expiry_times_come_in_several_forms(watched: Simulated, endpoint: Endpoint) -> None:
    for number in range(8):
        watched.hire(f"Person {number}")
    forms = [item["subscriptionExpirationDateTime"] for item in endpoint.wait_for_items(8)]
    assert all(MOMENT.fullmatch(form) for form in forms)
    assert {form[-1] for form in forms} == {"Z", "0"}
    assert len({len(form) for form in forms}) > 2


def test_one_body_holds_notifications_of_several_subscriptions(watched: Simulated, endpoint: Endpoint) -> None:
    watched.turn(notification_batch_window_seconds=3_600)
    watched.hire()
    watched.found()
    watched.wait_for("notifications", "created", 2)
    watched.advance(3_600)
    [delivery] = endpoint.wait_for_deliveries(1)
    assert {item["resource"].split("/")[0] for item in delivery.items} == {"Users", "Groups"}
    assert len({item["subscriptionId"] for item in delivery.items}) == 2


def test_the_log_says_of_which_changes_a_notification_was_taken(watched: Simulated, endpoint: Endpoint) -> None:
    dropped, untrue, taken = watched.hire("One"), watched.hire("Two"), watched.hire("Three")
    watched.wait_for("notifications", "acknowledged", 3)
    before = watched.control("GET", "/changes")["head"]
    for knob, person in (
        ({"notification_drop": 1.0}, dropped),
        ({"notification_drop": 1.0, "notification_unknown_subscription": 1.0}, untrue),
        ({"notification_drop": 0.0, "notification_unknown_subscription": 0.0}, taken),
    ):
        watched.turn(**knob)
        watched.control("PATCH", f"/users/{person}", {"jobTitle": "Director"})
    watched.wait_for("notifications", "acknowledged", 5)
    changes = watched.control("GET", f"/changes?after={before}")["changes"]
    told = {change["object_id"]: change["acknowledged"] for change in changes}
    assert told == {dropped: False, untrue: False, taken: True}


def test_a_body_holds_no_more_than_the_batch_size(watched: Simulated, endpoint: Endpoint) -> None:
    watched.turn(notification_batch_size=2, notification_batch_window_seconds=0.2)
    for number in range(5):
        watched.hire(f"Person {number}")
    endpoint.wait_for_items(5)
    assert all(len(delivery.items) <= 2 for delivery in endpoint.deliveries)


def test_a_subscription_to_one_object_hears_of_that_object_only(simulated: Simulated, endpoint: Endpoint) -> None:
    one, other = simulated.hire("One"), simulated.hire("Other")
    simulated.subscribe(endpoint, f"users/{one}")
    for person in (other, one):
        simulated.control("PATCH", f"/users/{person}", {"jobTitle": "Director"})
    assert [item["resource"] for item in endpoint.wait_for_items(1)] == [f"Users/{one}"]
    assert simulated.statistic("notifications", "created") == 1


def test_change_types_that_were_not_subscribed_are_not_sent(simulated: Simulated, endpoint: Endpoint) -> None:
    simulated.subscribe(endpoint, changeType="deleted")
    person = simulated.hire()
    simulated.control("POST", f"/users/{person}/purge")
    [item] = endpoint.wait_for_items(1)
    assert item["changeType"] == "deleted"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_acknowledges(watched: Simulated, endpoint: Endpoint, reply: type[Reply], status: int) -> None:
    endpoint.on_delivery = lambda _: reply(status)
    watched.hire()
    watched.wait_for("notifications", "acknowledged", 1)
    assert watched.statistic("notifications", "failed") == 0


@pytest.mark.parametrize("status", [301, 400, 401, 404, 500, 503])
def test_everything_else_is_retried_with_growing_pauses(
    watched: Simulated, endpoint: Endpoint, reply: type[Reply], status: int
) -> None:
    endpoint.on_delivery = lambda _: reply(status)
    watched.hire()
    pause = 10
    for attempt in range(1, 4):
        watched.wait_for("notifications", "failed", attempt)
        assert len(endpoint.deliveries) == attempt
        watched.advance(pause)
        endpoint.wait_for_deliveries(attempt + 1)
        pause *= 2
    endpoint.on_delivery = lambda _: reply(202)
    watched.wait_for("notifications", "failed", 4)
    watched.advance(pause)
    watched.wait_for("notifications", "acknowledged", 1)
    assert len({delivery.body for delivery in endpoint.deliveries}) == 1


def test_after_four_hours_a_notification_is_lost(watched: Simulated, endpoint: Endpoint, reply: type[Reply]) -> None:
    endpoint.on_delivery = lambda _: reply(503)
    watched.turn(retry_first_delay_seconds=3_600, retry_longest_delay_seconds=3_600)
    watched.hire()
    for attempt in range(1, 5):
        watched.wait_for("notifications", "failed", attempt)
        watched.advance(3_600)
    watched.wait_for("notifications", "lost", 1)
    assert len(endpoint.deliveries) in (4, 5)


def test_an_answer_after_the_window_counts_as_a_failure(
    watched: Simulated, endpoint: Endpoint, reply: type[Reply]
) -> None:
    release = threading.Event()
    endpoint.on_delivery = lambda _: reply(202, after=release)
    watched.turn(first_attempt_timeout_seconds=0.2)
    watched.hire()
    watched.wait_for("notifications", "failed", 1)
    release.set()
    watched.advance(10)
    watched.wait_for("notifications", "acknowledged", 1)
    assert len(endpoint.items) == 2


def slow_down(watched: Simulated, endpoint: Endpoint, reply: type[Reply], *, drop_after: float) -> None:
    """Let four answers come too late for the first attempt; nothing is retried."""
    release = threading.Event()
    endpoint.on_delivery = lambda _: reply(202, after=release)
    watched.turn(
        first_attempt_timeout_seconds=0.1,
        retry_timeout_seconds=drop_after,
        endpoint_state_minimum_responses=4,
        notification_batch_size=1,
        retry_give_up_seconds=0,
    )
    for number in range(4):
        watched.hire(f"Slow {number}")
    watched.wait_for("notifications", "failed", 4)
    release.set()
    endpoint.on_delivery = lambda _: reply(202)
    watched.turn(first_attempt_timeout_seconds=3, retry_timeout_seconds=10)


def state_of_endpoint(watched: Simulated) -> str:
    [state] = watched.control("GET", "/statistics")["endpoints"].values()
    return state


def test_a_slow_endpoint_gets_its_notifications_ten_minutes_late(
    watched: Simulated, endpoint: Endpoint, reply: type[Reply]
) -> None:
    slow_down(watched, endpoint, reply, drop_after=60)
    assert state_of_endpoint(watched) == "slow"
    late = watched.hire("Late")
    watched.wait_for("notifications", "delayed_by_endpoint_state", 1)
    watched.advance(599)
    assert watched.statistic("notifications", "acknowledged") == 0
    watched.advance(2)
    watched.wait_for("notifications", "acknowledged", 1)
    assert endpoint.items[-1]["resource"] == f"Users/{late}"


def test_an_endpoint_that_keeps_failing_the_retry_window_has_notifications_dropped(
    watched: Simulated, endpoint: Endpoint, reply: type[Reply]
) -> None:
    slow_down(watched, endpoint, reply, drop_after=0.09)
    assert state_of_endpoint(watched) == "drop"
    watched.hire("Dropped")
    watched.wait_for("notifications", "dropped_by_endpoint_state", 1)


def test_a_recovered_endpoint_leaves_the_drop_state_by_probes(
    watched: Simulated, endpoint: Endpoint, reply: type[Reply]
) -> None:
    slow_down(watched, endpoint, reply, drop_after=0.09)
    watched.advance(601)
    for number in range(3):
        watched.hire(f"Probe {number}")
    watched.wait_for("notifications", "acknowledged", 3)
    assert state_of_endpoint(watched) == "healthy"


def test_what_a_deleted_subscription_had_waiting_is_not_sent(watched: Simulated, endpoint: Endpoint) -> None:
    watched.turn(notification_delay_seconds=60)
    watched.hire()
    for subscription in watched.get("/subscriptions")["value"]:
        watched.graph("DELETE", f"/subscriptions/{subscription['id']}")
    watched.turn(notification_delay_seconds=0)
    watched.subscribe(endpoint, "users", clientState="new-secret")
    watched.advance(60)
    watched.hire("Later")
    assert {item["clientState"] for item in endpoint.wait_for_items(1)} == {"new-secret"}


def test_notifications_of_two_tenants_share_a_body_when_they_share_an_address(
    simulate: Simulate, endpoint: Endpoint
) -> None:
    simulated = simulate(tenants=2, notification_batch_window_seconds=3_600)
    for tenant in simulated.world.tenants.values():
        application = tenant.application
        form = {
            "grant_type": "client_credentials",
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "scope": f"{simulated.origin}/.default",
        }
        token = simulated.request("POST", f"/{tenant.id}/oauth2/v2.0/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        body = simulated.subscription_body(endpoint)
        assert simulated.request("POST", "/v1.0/subscriptions", json=body, headers=headers).status_code == 201
        user = next(iter(tenant.directory.truth.users))
        path = f"/control/tenants/{tenant.id}/users/{user}"
        assert simulated.request("PATCH", path, json={"jobTitle": "Director"}).ok
    simulated.advance(3_600)
    [delivery] = endpoint.wait_for_deliveries(1)
    assert {item["tenantId"] for item in delivery.items} == set(simulated.world.tenants)
