"""Section "Webhook endpoint validation handshake": what an endpoint is asked, and which answers it is refused for."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote_plus, unquote

import pytest

from simulator.certificates import ensure_authority
from simulator.handshake import form_encoded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.conftest import Endpoint, Received, Reply, Simulated


def raw_token(asked: Received) -> str:
    return asked.query.partition("validationToken=")[2]


def refused(simulated: Simulated, endpoint: Endpoint, **changed: Any) -> str:
    body = simulated.subscription_body(endpoint, **changed)
    status, code, message = simulated.error("POST", "/subscriptions", json=body)
    assert (status, code) == (400, "ValidationError")
    assert simulated.get("/subscriptions")["value"] == []
    return message


def test_the_endpoint_is_asked_inside_the_create_call_with_an_empty_plain_text_post(
    simulated: Simulated, endpoint: Endpoint
) -> None:
    simulated.subscribe(endpoint)
    [asked] = endpoint.handshakes
    assert asked.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert asked.body == b""
    assert "User-Agent" not in asked.headers


def test_the_token_comes_in_form_encoding_with_lower_case_escapes(simulated: Simulated, endpoint: Endpoint) -> None:
    simulated.subscribe(endpoint)
    raw = raw_token(endpoint.handshakes[0])
    assert raw.startswith("Validation%3a+Testing+client+application+reachability+for+subscription+Request-Id%3a+")
    assert len(parse_qs(endpoint.handshakes[0].query)["validationToken"][0]) == 117


def test_other_tokens_hold_signs_that_punish_careless_decoding(simulated: Simulated, endpoint: Endpoint) -> None:
    for resource in ("users", "groups"):
        simulated.subscribe(endpoint, resource)
    nasty = raw_token(endpoint.handshakes[1])
    assert {"%2b", "%25", "%26"} <= set(re.findall("%..", nasty))


def test_an_endpoint_that_decodes_a_plus_as_a_plus_is_refused(
    simulated: Simulated, endpoint: Endpoint, reply: type[Reply]
) -> None:
    endpoint.on_handshake = lambda asked: reply(200, unquote(raw_token(asked)).encode())
    assert "validation request failed" in refused(simulated, endpoint)


def test_an_endpoint_that_echoes_the_encoded_token_is_refused(
    simulated: Simulated, endpoint: Endpoint, reply: type[Reply]
) -> None:
    endpoint.on_handshake = lambda asked: reply(200, raw_token(asked).encode())
    refused(simulated, endpoint)


@pytest.mark.parametrize("status", [202, 204, 302, 404, 500])
def test_any_status_but_200_is_refused_and_named(
    simulated: Simulated, endpoint: Endpoint, reply: type[Reply], status: int
) -> None:
    good = endpoint.on_handshake
    endpoint.on_handshake = lambda asked: reply(status, good(asked).body if status not in (204, 302) else b"")
    assert "HTTP status code is '" in refused(simulated, endpoint)


def test_the_answer_must_be_plain_text(simulated: Simulated, endpoint: Endpoint, reply: type[Reply]) -> None:
    good = endpoint.on_handshake
    endpoint.on_handshake = lambda asked: reply(200, good(asked).body, "application/json")
    refused(simulated, endpoint)


@pytest.mark.parametrize("wrap", [b'"%s"', b"%s\n", b" %s", b"<p>%s</p>"])
def test_anything_around_the_token_is_refused(
    simulated: Simulated, endpoint: Endpoint, reply: type[Reply], wrap: bytes
) -> None:
    good = endpoint.on_handshake
    endpoint.on_handshake = lambda asked: reply(200, wrap % good(asked).body)
    refused(simulated, endpoint)


def test_an_endpoint_that_does_not_answer_in_time_is_refused(
    simulated: Simulated, endpoint: Endpoint, reply: type[Reply]
) -> None:
    release = threading.Event()
    endpoint.on_handshake = lambda _: reply(200, after=release)
    simulated.turn(handshake_timeout_seconds=0.2)
    assert "timed out" in refused(simulated, endpoint)
    release.set()


def test_an_endpoint_that_cannot_be_reached_is_refused(simulated: Simulated, endpoint: Endpoint) -> None:
    refused(simulated, endpoint, notificationUrl="https://127.0.0.1:1/hook")


def test_an_endpoint_with_a_certificate_of_somebody_else_is_refused(
    simulated: Simulated, make_endpoint: Callable[[], Endpoint], tmp_path: Path
) -> None:
    stranger = ensure_authority(tmp_path / "other")
    other = type(make_endpoint())(stranger.issue(tmp_path, "other", []))
    assert "SSLCertVerificationError" in refused(simulated, other)
    other.close()


def test_the_lifecycle_address_is_validated_too(
    simulated: Simulated, make_endpoint: Callable[[], Endpoint], reply: type[Reply]
) -> None:
    changes, lifecycle = make_endpoint(), make_endpoint()
    simulated.subscribe(changes, lifecycleNotificationUrl=lifecycle.url)
    assert (len(changes.handshakes), len(lifecycle.handshakes)) == (1, 1)
    lifecycle.on_handshake = lambda _: reply(202)
    body = simulated.subscription_body(changes, "groups", lifecycleNotificationUrl=lifecycle.url)
    assert simulated.error("POST", "/subscriptions", json=body)[:2] == (400, "ValidationError")


def test_the_query_of_the_address_is_kept_and_the_token_added(simulated: Simulated, endpoint: Endpoint) -> None:
    simulated.subscribe(endpoint, notificationUrl=f"{endpoint.url}?code=a%2Fb&x=1")
    assert endpoint.handshakes[0].query.startswith("code=a%2Fb&x=1&validationToken=Validation%3a+")


def test_changing_the_address_validates_the_new_one(
    simulated: Simulated, make_endpoint: Callable[[], Endpoint], reply: type[Reply]
) -> None:
    first, second = make_endpoint(), make_endpoint()
    created = simulated.subscribe(first)
    second.on_handshake = lambda _: reply(404)
    path = f"/subscriptions/{created['id']}"
    assert simulated.error("PATCH", path, json={"notificationUrl": second.url})[:2] == (400, "ValidationError")
    assert simulated.get(path)["notificationUrl"] == first.url
    second.on_handshake = first.on_handshake
    assert simulated.graph("PATCH", path, json={"notificationUrl": second.url}).status_code == 200
    assert len(second.handshakes) == 2


def test_a_renewal_may_validate_again(simulated: Simulated, endpoint: Endpoint, reply: type[Reply]) -> None:
    path = f"/subscriptions/{simulated.subscribe(endpoint)['id']}"
    body = {"expirationDateTime": simulated.in_days(5)}
    simulated.graph("PATCH", path, json=body)
    assert len(endpoint.handshakes) == 1
    simulated.turn(validate_on_renewal=1.0)
    simulated.graph("PATCH", path, json=body)
    assert len(endpoint.handshakes) == 2
    endpoint.on_handshake = lambda _: reply(500)
    assert simulated.error("PATCH", path, json=body)[:2] == (400, "ValidationError")
    assert simulated.fired("validate_on_renewal") == 2


def test_other_requests_are_served_while_a_handshake_is_open(
    simulated: Simulated, endpoint: Endpoint, reply: type[Reply]
) -> None:
    """An endpoint may have to call Graph before it answers; a simulator that blocks would hide a deadlock."""
    good, seen = endpoint.on_handshake, []

    def ask_back(asked: Received) -> Reply:
        seen.append(simulated.get("/subscriptions")["value"])
        return good(asked)

    simulated.sign_in()
    endpoint.on_handshake = ask_back
    simulated.subscribe(endpoint)
    assert seen == [[]]


def test_handshakes_are_counted(simulated: Simulated, endpoint: Endpoint, reply: type[Reply]) -> None:
    simulated.subscribe(endpoint)
    endpoint.on_handshake = lambda _: reply(500)
    refused_body = simulated.subscription_body(endpoint, "groups")
    simulated.error("POST", "/subscriptions", json=refused_body)
    assert simulated.control("GET", "/statistics")["handshakes"] == {"answered": 1, "failed": 1}


def test_every_sign_survives_the_encoding() -> None:
    text = "a+b c%d&e=f/g?h#i'j(k)ü"
    assert parse_qs("t=" + form_encoded(text)) == {"t": [text]}
    assert form_encoded(text).lower() == quote_plus(text).lower()
