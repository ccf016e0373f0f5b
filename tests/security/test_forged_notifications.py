"""Who does not know the server key cannot make the webhook do anything, whatever he has seen or guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika
import pytest

from common import config, topology
from common.client_state import ClientStates
from common.messages import Stream, decode_request
from tests.support.notifications import OTHER_TENANT, SECRET_KEY, TENANT, change, guid, lifecycle

pytestmark = pytest.mark.system

StartWebhook = Callable[..., Any]
STATES = ClientStates.from_settings(config.load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY}))
STRANGER = ClientStates.from_settings(
    config.load({"ENTRA_SMS_SECRET_KEY": "a key that somebody else made up, long enough"})
)
PREVIOUS_KEY = "the key before, of the tests, which is long enough"
PREVIOUS = ClientStates.from_settings(config.load({"ENTRA_SMS_SECRET_KEY": PREVIOUS_KEY}))

GENUINE = STATES.make(TENANT, Stream.USERS)
NONCE, TAG = GENUINE.split(".")
FORGERIES: dict[str, Any] = {
    "missing": None,
    "empty": "",
    "a dot": ".",
    "random": "3f8c1f0e7f6c4b8f9a1d2c3b.9c1f0a2b4d6e8f1a3c5b7d9e0f2a4c6b8d1e",
    "a word": "secretClientState",
    "too long": "a" * 100_000,
    "genuine and more": GENUINE + "0",
    "genuine twice": f"{GENUINE}{GENUINE}",
    "truncated": GENUINE[:-1],
    "nothing but the nonce": f"{NONCE}.",
    "nothing but the tag": f".{TAG}",
    "tag of another nonce": f"{'0' * len(NONCE)}.{TAG}",
    "upper case": GENUINE.upper(),
    "with a space": f" {GENUINE}",
    "with a line end": f"{GENUINE}\n",
    "with a NUL": f"{GENUINE}\x00",
    "look-alike letters": GENUINE.replace("a", "\u0430").replace("e", "\u0435") + "\u200b",
    "full-width digits": "".join(chr(ord(one) + 0xFEE0) for one in GENUINE),
    "of another stream": STATES.make(TENANT, Stream.GROUPS),
    "of another tenant": STATES.make(OTHER_TENANT, Stream.USERS),
    "with an unknown key": STRANGER.make(TENANT, Stream.USERS),
    "with a key that was taken away": PREVIOUS.make(TENANT, Stream.USERS),
    "a number": 7,
    "true": True,
    "a list": [GENUINE],
    "an object": {"clientState": GENUINE},
}


def messages_in(amqp_url: str, queue: str) -> list[bytes]:
    """Take all messages out of a queue."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        found = []
        while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
            found.append(message[2])
        return found


def refused(webhook: Any) -> float:
    """How many items were dropped because nothing proved them."""
    name = 'entra_sms_webhook_items_total{outcome="wrong_client_state"}'
    found: float = webhook.metrics().get(name, 0.0)
    return found


def test_no_forged_client_state_gets_anything_published(start_webhook: StartWebhook, amqp_url: str) -> None:
    webhook = start_webhook(amqp_url)
    posts = 0
    for name, state in FORGERIES.items():
        for item in (
            change(STATES, Stream.USERS, clientState=state),
            lifecycle(STATES, Stream.USERS, "missed", clientState=state),
        ):
            proves_the_other_stream = name == "of another stream" and "lifecycleEvent" in item
            if proves_the_other_stream:
                continue  # a lifecycle event names no stream: it may prove either of its tenant
            answer = webhook.post("/graph/notifications", json={"value": [item]})
            posts += 1
            # Graph would repeat a refusal for hours, and a stranger is not told what was wrong.
            assert (answer.status_code, answer.content) == (202, b""), name
    assert refused(webhook) == posts
    assert messages_in(amqp_url, topology.REQUESTS) == messages_in(amqp_url, topology.LIFECYCLE) == []

    everything = [change(STATES, Stream.USERS, clientState=state) for state in FORGERIES.values()]
    genuine = change(STATES, Stream.USERS, object_id=(object_id := guid()))
    assert webhook.post("/graph/notifications", json={"value": [*everything, genuine]}).status_code == 202
    [body] = messages_in(amqp_url, topology.REQUESTS)
    assert decode_request(body).object_ids == (object_id,)
    assert not any(secret in webhook.log.read_text() for secret in (NONCE, TAG, SECRET_KEY))


def test_a_genuine_client_state_proves_nothing_about_another_tenant_or_stream(
    start_webhook: StartWebhook, amqp_url: str
) -> None:
    webhook = start_webhook(amqp_url)
    stolen = [
        change(STATES, Stream.GROUPS, clientState=GENUINE),
        change(STATES, Stream.USERS, tenant=OTHER_TENANT, clientState=GENUINE),
        change(STATES, Stream.USERS, clientState=GENUINE) | {"resource": f"groups/{guid()}"},
        lifecycle(STATES, Stream.USERS, "subscriptionRemoved", tenant=OTHER_TENANT, clientState=GENUINE),
    ]
    assert webhook.post("/graph/lifecycle", json={"value": stolen}).status_code == 202
    assert refused(webhook) == len(stolen)
    assert messages_in(amqp_url, topology.REQUESTS) == messages_in(amqp_url, topology.LIFECYCLE) == []


def test_during_a_rotation_both_keys_prove_and_after_it_the_new_one_alone(
    start_webhook: StartWebhook, amqp_url: str
) -> None:
    old, new = change(PREVIOUS, Stream.USERS), change(STATES, Stream.USERS)
    rotating = start_webhook(amqp_url, ENTRA_SMS_SECRET_KEY_PREVIOUS=PREVIOUS_KEY)
    assert rotating.post("/graph/notifications", json={"value": [old]}).status_code == 202
    assert rotating.post("/graph/notifications", json={"value": [new]}).status_code == 202
    assert refused(rotating) == 0
    assert len(messages_in(amqp_url, topology.REQUESTS)) == 2
    rotating.terminate()

    rotated = start_webhook(amqp_url)
    assert rotated.post("/graph/notifications", json={"value": [old, new]}).status_code == 202
    assert refused(rotated) == 1
    [body] = messages_in(amqp_url, topology.REQUESTS)
    assert decode_request(body).object_ids == (new["resourceData"]["id"],)
