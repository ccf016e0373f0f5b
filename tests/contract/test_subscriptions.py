"""Section "Subscriptions API": what can be created, for how long, and every way it is refused."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.conftest import Endpoint, Received, Reply, Simulated


def minutes_left(subscription: dict[str, Any]) -> float:
    expiry = datetime.fromisoformat(subscription["expirationDateTime"][:19] + "+00:00")
    return (expiry - datetime.now(UTC)).total_seconds() / 60


def refusal(simulated: Simulated, endpoint: Endpoint, **changed: Any) -> tuple[int, str, str]:
    body = {
        name: value for name, value in simulated.subscription_body(endpoint, **changed).items() if value is not None
    }
    return simulated.error("POST", "/subscriptions", json=body)


def test_a_created_subscription_is_listed_without_its_client_state(simulated: Simulated, endpoint: Endpoint) -> None:
    created = simulated.subscribe(endpoint, lifecycleNotificationUrl=endpoint.url)
    assert created["clientState"] == "agreed-secret"
    [listed] = simulated.get("/subscriptions")["value"]
    assert listed["id"] == created["id"]
    assert listed["clientState"] is None
    assert simulated.get(f"/subscriptions/{created['id']}")["clientState"] is None
    assert created["applicationId"] == simulated.tenant.application.client_id
    assert created["latestSupportedTlsVersion"] == "v1_2"


def test_less_than_45_minutes_is_raised_to_45_without_a_word(simulated: Simulated, endpoint: Endpoint) -> None:
    created = simulated.subscribe(endpoint, expirationDateTime=simulated.in_days(1 / 24 / 60))
    assert 44 < minutes_left(created) <= 45


def test_more_than_29_days_is_refused(simulated: Simulated, endpoint: Endpoint) -> None:
    status, code, message = refusal(simulated, endpoint, expirationDateTime=simulated.in_days(29.1))
    assert (status, code) == (400, "ExtensionError")
    assert "minutes in the future" in message
    simulated.subscribe(endpoint, expirationDateTime=simulated.in_days(28))


@pytest.mark.parametrize(
    "changed",
    [
        {"expirationDateTime": "2020-01-01T00:00:00Z"},
        {"expirationDateTime": "next week"},
        {"expirationDateTime": "2030-13-01T00:00:00Z"},
        {"expirationDateTime": None},
        {"notificationUrl": "http://localhost:1/hook"},
        {"notificationUrl": "localhost"},
        {"lifecycleNotificationUrl": "http://localhost:1/hook"},
        {"clientState": "x" * 129},
        {"changeType": "created"},
        {"changeType": "updated,updated"},
        {"resource": None},
        {"resource": "me/messages"},
        {"resource": "users?$select=id"},
        {"includeResourceData": True},
        {"vapidPublicKey": "x"},
        {"webPushEncryptionKey": "x"},
    ],
    ids=str,
)
def test_a_malformed_subscription_is_refused_before_the_endpoint_is_asked(
    simulated: Simulated, endpoint: Endpoint, changed: dict[str, Any]
) -> None:
    assert refusal(simulated, endpoint, **changed)[0] == 400
    assert endpoint.handshakes == []


def test_a_body_that_is_no_json_object_is_refused(simulated: Simulated) -> None:
    for data in (b"", b"[]", b"{"):
        assert simulated.error("POST", "/subscriptions", data=data)[0] == 400


def test_the_same_combination_conflicts_whatever_the_address(
    simulated: Simulated, make_endpoint: Callable[[], Endpoint]
) -> None:
    first = simulated.subscribe(make_endpoint())
    other = make_endpoint()
    for resource, change_type in (("users", "updated,deleted"), ("/Users", "deleted,updated")):
        status, code, message = refusal(simulated, other, resource=resource, changeType=change_type)
        assert (status, code) == (409, "ObjectIdentifierInUse")
        assert first["id"] in message
    simulated.subscribe(other, "users", changeType="updated")
    simulated.subscribe(other, "groups")


def test_of_two_simultaneous_creations_one_conflicts(
    simulated: Simulated, endpoint: Endpoint, reply: type[Reply]
) -> None:
    good, meeting = endpoint.on_handshake, threading.Barrier(2, timeout=10)

    def wait_for_the_other(asked: Received) -> Reply:
        meeting.wait()
        return good(asked)

    endpoint.on_handshake = wait_for_the_other
    simulated.sign_in()
    body = simulated.subscription_body(endpoint)
    statuses = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(simulated.graph("POST", "/subscriptions", json=body).status_code)
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, 409]


def test_more_than_a_hundred_are_refused(simulated: Simulated, endpoint: Endpoint) -> None:
    people = [simulated.hire(f"Person {number}") for number in range(101)]
    for person in people[:100]:
        simulated.subscribe(endpoint, f"users/{person}")
    status, _, message = refusal(simulated, endpoint, resource=f"users/{people[100]}")
    assert status == 403
    assert "100" in message


def test_the_list_of_subscriptions_may_come_in_pages(simulated: Simulated, endpoint: Endpoint) -> None:
    simulated.turn(subscriptions_page_size=1)
    simulated.subscribe(endpoint, "users")
    simulated.subscribe(endpoint, "groups")
    first = simulated.get("/subscriptions")
    second = simulated.get(first["@odata.nextLink"])
    assert [each["resource"] for each in first["value"] + second["value"]] == ["users", "groups"]
    assert "@odata.nextLink" not in second


def test_an_update_renews_and_changes_nothing_else(simulated: Simulated, endpoint: Endpoint) -> None:
    path = f"/subscriptions/{simulated.subscribe(endpoint)['id']}"
    renewed = simulated.graph("PATCH", path, json={"expirationDateTime": simulated.in_days(20)})
    assert renewed.status_code == 200
    assert minutes_left(renewed.json()) > 19 * 24 * 60
    for body in ({"clientState": "new"}, {"resource": "groups"}, {}, {"lifecycleNotificationUrl": endpoint.url}):
        assert simulated.error("PATCH", path, json=body)[0] == 400, body


def test_an_expired_subscription_is_gone_without_a_trace(simulated: Simulated, endpoint: Endpoint) -> None:
    created = simulated.subscribe(endpoint, expirationDateTime=simulated.in_days(2))
    simulated.advance(86_400 * 2 + 1)
    simulated.sign_in()
    path = f"/subscriptions/{created['id']}"
    assert simulated.error("PATCH", path, json={"expirationDateTime": simulated.in_days(2)})[0] == 404
    assert simulated.error("GET", path)[0] == 404
    assert simulated.error("POST", f"{path}/reauthorize")[0] == 404
    assert simulated.error("DELETE", path)[0] == 404
    assert simulated.get("/subscriptions")["value"] == []
    simulated.subscribe(endpoint, expirationDateTime=simulated.in_days(2))


def test_after_an_advance_the_remaining_life_is_told_in_wall_time(simulated: Simulated, endpoint: Endpoint) -> None:
    created = simulated.subscribe(endpoint, expirationDateTime=simulated.in_days(2))
    simulated.advance(86_400)
    simulated.sign_in()
    left = minutes_left(simulated.get(f"/subscriptions/{created['id']}"))
    assert 24 * 60 - 2 < left <= 24 * 60


def test_a_deleted_subscription_can_be_made_again(simulated: Simulated, endpoint: Endpoint) -> None:
    created = simulated.subscribe(endpoint)
    deleted = simulated.graph("DELETE", f"/subscriptions/{created['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert simulated.error("DELETE", f"/subscriptions/{created['id']}")[0] == 404
    assert simulated.subscribe(endpoint)["id"] != created["id"]


def test_reauthorizing_answers_204_and_does_not_renew(simulated: Simulated, endpoint: Endpoint) -> None:
    created = simulated.subscribe(endpoint)
    answer = simulated.graph("POST", f"/subscriptions/{created['id']}/reauthorize")
    assert (answer.status_code, answer.content) == (204, b"")
    assert abs(minutes_left(simulated.get(f"/subscriptions/{created['id']}")) - minutes_left(created)) < 1


def test_renewing_and_reauthorizing_within_ten_minutes_is_noted_as_a_violation(
    simulated: Simulated, endpoint: Endpoint
) -> None:
    path = f"/subscriptions/{simulated.subscribe(endpoint)['id']}"
    simulated.graph("POST", f"{path}/reauthorize")
    simulated.advance(601)
    simulated.graph("PATCH", path, json={"expirationDateTime": simulated.in_days(4)})
    assert simulated.control("GET", "/statistics")["violations"] == {}
    simulated.graph("POST", f"{path}/reauthorize")
    assert simulated.control("GET", "/statistics")["violations"] == {"renewed and reauthorized within 10 minutes": 1}


def test_without_the_permission_renewing_is_forbidden_until_it_is_back(
    simulated: Simulated, endpoint: Endpoint
) -> None:
    path = f"/subscriptions/{simulated.subscribe(endpoint)['id']}"
    simulated.control("PUT", "/permissions", {"roles": ["Group.Read.All"]})
    simulated.sign_in()
    assert simulated.error("POST", f"{path}/reauthorize")[:2] == (403, "ExtensionError")
    assert simulated.error("PATCH", path, json={"expirationDateTime": simulated.in_days(4)})[0] == 403
    simulated.control("PUT", "/permissions", {"roles": ["User.Read.All"]})
    simulated.sign_in()
    assert simulated.graph("POST", f"{path}/reauthorize").status_code == 204


def test_a_passing_fault_may_look_like_a_403(simulated: Simulated, endpoint: Endpoint) -> None:
    simulated.turn(transient_forbidden=1.0)
    status, code, message = refusal(simulated, endpoint)
    assert (status, code) == (403, "ExtensionError")
    assert "Status Code: ServiceUnavailable" in message
    assert simulated.fired("transient_forbidden") == 1


def test_a_subscription_can_be_forgotten_silently(simulated: Simulated, endpoint: Endpoint) -> None:
    created = simulated.subscribe(endpoint)
    simulated.control("DELETE", f"/subscriptions/{created['id']}")
    assert simulated.get("/subscriptions")["value"] == []
    assert endpoint.deliveries == []
    simulated.control("DELETE", f"/subscriptions/{created['id']}", expect=404)


def test_control_shows_subscriptions_with_their_client_state(simulated: Simulated, endpoint: Endpoint) -> None:
    simulated.subscribe(endpoint)
    [shown] = simulated.control("GET", "/subscriptions")["subscriptions"]
    assert shown["clientState"] == "agreed-secret"
    assert 2.9 * 86_400 < shown["seconds_left"] <= timedelta(days=3).total_seconds()
