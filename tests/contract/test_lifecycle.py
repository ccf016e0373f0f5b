"""Section "Lifecycle notifications": challenges, what ignoring them costs, and the events that can be injected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Endpoint, Simulated


@pytest.fixture
def subscription(simulated: Simulated, endpoint: Endpoint) -> dict[str, Any]:
    return simulated.subscribe(
        endpoint, lifecycleNotificationUrl=endpoint.url, expirationDateTime=simulated.in_days(20)
    )


def test_a_challenge_comes_when_a_quarter_of_the_authorization_is_left(
    simulated: Simulated, endpoint: Endpoint, subscription: dict[str, Any]
) -> None:
    simulated.advance(86_400 * 3 / 4 + 1)
    [item] = endpoint.wait_for_items(1)
    assert item["lifecycleEvent"] == "reauthorizationRequired"
    assert item["subscriptionId"] == subscription["id"]
    assert item["clientState"] == "agreed-secret"
    assert set(item) == {
        "subscriptionId",
        "subscriptionExpirationDateTime",
        "tenantId",
        "clientState",
        "lifecycleEvent",
    }


def test_challenges_are_repeated_until_they_are_met(
    simulated: Simulated, endpoint: Endpoint, subscription: dict[str, Any]
) -> None:
    simulated.advance(86_400 * 3 / 4 + 1)
    endpoint.wait_for_items(1)
    simulated.advance(86_400 / 8)
    endpoint.wait_for_items(2)
    simulated.sign_in()
    simulated.graph("POST", f"/subscriptions/{subscription['id']}/reauthorize")
    simulated.advance(86_400 / 2)
    simulated.hire("Marker")
    items = endpoint.wait_for_items(3)
    assert [item.get("lifecycleEvent") for item in items] == ["reauthorizationRequired"] * 2 + [None]


def test_an_ignored_challenge_pauses_delivery_until_reauthorized(
    simulated: Simulated, endpoint: Endpoint, subscription: dict[str, Any]
) -> None:
    simulated.advance(86_400 + 1)
    endpoint.wait_for_items(1)
    simulated.hire("Held Back")
    simulated.wait_for("notifications", "paused", 1)
    assert [item for item in endpoint.items if "changeType" in item] == []
    assert simulated.control("GET", "/subscriptions")["subscriptions"][0]["paused"] is True
    simulated.sign_in()
    simulated.graph("POST", f"/subscriptions/{subscription['id']}/reauthorize")
    simulated.advance(600)
    simulated.wait_for("notifications", "acknowledged", 2)
    assert [item["changeType"] for item in endpoint.items if "changeType" in item] == ["updated"]


def test_renewing_meets_a_challenge_as_well(
    simulated: Simulated, endpoint: Endpoint, subscription: dict[str, Any]
) -> None:
    simulated.advance(86_400 + 1)
    simulated.sign_in()
    simulated.graph("PATCH", f"/subscriptions/{subscription['id']}", json={"expirationDateTime": simulated.in_days(5)})
    assert simulated.control("GET", "/subscriptions")["subscriptions"][0]["paused"] is False


def test_revoking_the_permission_brings_a_challenge_at_once_and_a_pause_later(
    simulated: Simulated, endpoint: Endpoint, subscription: dict[str, Any]
) -> None:
    simulated.control("PUT", "/permissions", {"roles": []})
    assert endpoint.wait_for_items(1)[0]["lifecycleEvent"] == "reauthorizationRequired"
    simulated.hire("Still Told")
    endpoint.wait_for_items(2)
    simulated.advance(901)
    simulated.hire("Not Told")
    simulated.wait_for("notifications", "paused", 1)


def test_without_a_lifecycle_address_there_is_no_challenge_and_no_pause(
    simulated: Simulated, endpoint: Endpoint
) -> None:
    simulated.subscribe(endpoint, expirationDateTime=simulated.in_days(20))
    simulated.advance(86_400 * 10)
    simulated.hire()
    [item] = endpoint.wait_for_items(1)
    assert "changeType" in item


@pytest.mark.parametrize("event", ["reauthorizationRequired", "missed", "subscriptionRemoved"])
def test_every_event_can_be_injected(
    simulated: Simulated, endpoint: Endpoint, subscription: dict[str, Any], event: str
) -> None:
    body = {"event": event, "subscription_id": subscription["id"]}
    simulated.control("POST", "/lifecycle", body, expect=202)
    assert endpoint.wait_for_items(1)[0]["lifecycleEvent"] == event
    left = simulated.get("/subscriptions")["value"]
    assert len(left) == (0 if event == "subscriptionRemoved" else 1)


def test_injecting_is_strict(simulated: Simulated, endpoint: Endpoint, subscription: dict[str, Any]) -> None:
    simulated.control("POST", "/lifecycle", {"event": "odd", "subscription_id": subscription["id"]}, expect=400)
    simulated.control("POST", "/lifecycle", {"event": "missed", "subscription_id": "none"}, expect=404)
    silent = simulated.subscribe(endpoint, "groups")
    simulated.control("POST", "/lifecycle", {"event": "missed", "subscription_id": silent["id"]}, expect=409)


def test_change_and_lifecycle_items_may_share_a_body(
    simulated: Simulated, endpoint: Endpoint, subscription: dict[str, Any]
) -> None:
    simulated.turn(notification_batch_window_seconds=3_600)
    simulated.hire()
    simulated.control("POST", "/lifecycle", {"event": "missed", "subscription_id": subscription["id"]}, expect=202)
    simulated.advance(3_600)
    [delivery] = endpoint.wait_for_deliveries(1)
    assert sorted("lifecycleEvent" in item for item in delivery.items) == [False, True]
