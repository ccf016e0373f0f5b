"""The webhook's answers, without a server and without a broker."""

import io
import json
import random
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common import config
from common.client_state import ClientStates
from common.messages import OBJECT_IDS_LIMIT, LifecycleEvent, Reason, Stream, decode_lifecycle, decode_request
from tests.support.notifications import OTHER_TENANT, SECRET_KEY, TENANT, change, guid, lifecycle
from tests.support.recording_publisher import RecordingPublisher
from webhook.app import BODY_LIMIT_BYTES, PATHS, create_app
from webhook.payload import ITEMS_LIMIT

NOW = datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)
JSON = {"Content-Type": "application/json"}
NOTIFICATIONS, LIFECYCLE = PATHS

SETTINGS = config.load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY})


@pytest.fixture
def states() -> ClientStates:
    return ClientStates.from_settings(SETTINGS)


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def client(publisher: RecordingPublisher) -> FlaskClient:
    return create_app(SETTINGS, publisher, clock=lambda: NOW).test_client()


def post(client: FlaskClient, *items: object, path: str = NOTIFICATIONS) -> TestResponse:
    return client.post(path, data=json.dumps({"value": items}), headers=JSON)


def counted(client: FlaskClient, name: str, outcome: str) -> float:
    value = client.application.extensions["metrics"].registry.get_sample_value(
        f"entra_sms_webhook_{name}_total", {"outcome": outcome}
    )
    return value or 0.0


# Handshake


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("query", "token"),
    [
        (
            "validationToken=Validation%3a+Testing+client+application+reachability+for+subscription+Request-Id%3a+7",
            b"Validation: Testing client application reachability for subscription Request-Id: 7",
        ),
        ("validationToken=a%2Bb%25c%26d%3De", b"a+b%c&d=e"),
        ("validationToken=%252B", b"%2B"),
        ("validationToken=%3Cb%3E%22x%22", b'<b>"x"'),
        ("tenant=1&validationToken=later&more=2", b"later"),
        ("validationToken=first&validationToken=second", b"first"),
        ("validationToken=gr%C3%BC%C3%9Fe", "grüße".encode()),
        ("validationToken=%FF%FE", b"\xff\xfe"),
        ("validationToken=a;b", b"a;b"),
    ],
)
def test_a_handshake_is_answered_with_the_decoded_token_and_nothing_else(
    client: FlaskClient, path: str, query: str, token: bytes
) -> None:
    answer = client.post(f"{path}?{query}", headers={"Content-Type": "text/plain; charset=utf-8"})

    assert (answer.status_code, answer.mimetype, answer.data) == (200, "text/plain", token)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_handshake_needs_no_broker(client: FlaskClient, publisher: RecordingPublisher) -> None:
    publisher.away = True
    assert client.post(f"{NOTIFICATIONS}?validationToken=abc").data == b"abc"


def test_a_handshake_with_a_notification_as_its_body_only_echoes(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    body = json.dumps({"value": [change(states, Stream.USERS)]})
    answer = client.post(f"{NOTIFICATIONS}?validationToken=abc", data=body, headers=JSON)
    assert (answer.data, publisher.sent) == (b"abc", [])


def test_a_token_without_end_is_refused(client: FlaskClient) -> None:
    assert client.post(f"{NOTIFICATIONS}?validationToken={'a' * 2048}").status_code == 200
    assert client.post(f"{NOTIFICATIONS}?validationToken={'a' * 2049}").status_code == 400
    assert client.post(f"{NOTIFICATIONS}?validationToken=").status_code == 400


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "options", "head"])
def test_only_post_is_answered(client: FlaskClient, method: str) -> None:
    answer = getattr(client, method)(f"{NOTIFICATIONS}?validationToken=abc")
    assert answer.status_code == 405
    assert b"abc" not in answer.data
    assert answer.headers["Allow"] == "POST"


# What becomes a message


def test_a_notification_becomes_a_request_for_its_stream(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    answer = post(client, change(states, Stream.USERS, object_id=(object_id := guid())))

    assert (answer.status_code, answer.data) == (202, b"")
    [message] = publisher.sent
    request = decode_request(message.body)
    assert (request.tenant_id, request.stream, request.reason) == (TENANT, Stream.USERS, Reason.NOTIFICATION)
    assert (request.requested_at, request.object_ids) == (NOW, (object_id,))
    assert (message.exchange, message.routing_key) == ("sync", "request.users")
    assert message.headers == {"x-tenant": TENANT, "x-stream": "users", "x-reason": "notification"}


def test_a_post_becomes_one_message_for_each_tenant_and_stream(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    ids = [guid() for _ in range(5)]
    items = [change(states, Stream.USERS, object_id=object_id) for object_id in [*ids, *ids]]
    items += [change(states, Stream.GROUPS, object_id=object_id) for object_id in ids]
    items += [change(states, Stream.USERS, tenant=OTHER_TENANT, object_id=object_id) for object_id in ids]
    random.Random(1).shuffle(items)

    post(client, *items)

    requests = [decode_request(message.body) for message in publisher.sent]
    assert {(request.tenant_id, request.stream) for request in requests} == {
        (TENANT, Stream.USERS),
        (TENANT, Stream.GROUPS),
        (OTHER_TENANT, Stream.USERS),
    }
    assert [request.object_ids for request in requests] == [tuple(sorted(ids))] * 3


def test_a_request_names_no_more_objects_than_the_limit(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    state = states.make(TENANT, Stream.USERS)
    items = [{"tenantId": TENANT, "resource": f"Users/{guid()}", "clientState": state} for _ in range(5_000)]
    assert post(client, *items).status_code == 202
    [request] = [decode_request(message.body) for message in publisher.sent]
    assert len(request.object_ids) == OBJECT_IDS_LIMIT


def test_a_body_of_more_items_than_graph_could_send_is_refused_before_they_are_looked_at(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    shortest = {"tenantId": TENANT, "resource": f"Users/{guid()}", "clientState": states.make(TENANT, Stream.USERS)}
    assert len(json.dumps(shortest, separators=(",", ":"))) * ITEMS_LIMIT > BODY_LIMIT_BYTES
    good = change(states, Stream.USERS)
    assert post(client, good, *[0] * (ITEMS_LIMIT - 1)).status_code == 202
    assert post(client, good, *[0] * ITEMS_LIMIT).status_code == 400
    assert len(publisher.sent) == 1


@pytest.mark.parametrize("resource", ["Users/{}", "users/{}", "/USERS/{}", "Users/{}/manager"])
def test_the_resource_may_be_written_in_any_way(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates, resource: str
) -> None:
    item = change(states, Stream.USERS, resource=resource.format(object_id := guid()), resourceData=None)
    post(client, item)
    assert [decode_request(message.body).object_ids for message in publisher.sent] == [(object_id,)]


def test_ids_are_written_in_small_letters(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    object_id = guid()
    post(client, change(states, Stream.USERS, tenant=TENANT.upper(), object_id=object_id.upper()))
    [body] = publisher.bodies
    assert (body["tenant_id"], body["object_ids"]) == (TENANT, [object_id])


@pytest.mark.parametrize("change_type", ["created", "deleted", "unknownFutureValue", "", None, 7])
def test_a_change_type_is_only_a_hint(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates, change_type: object
) -> None:
    post(client, change(states, Stream.USERS, changeType=change_type))
    assert len(publisher.sent) == 1


def test_the_members_in_a_group_notification_are_ignored(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    item = change(states, Stream.GROUPS, object_id=(group := guid()))
    item["resourceData"]["members@delta"] = [{"id": (member := guid())}, {"id": guid(), "@removed": "deleted"}]
    post(client, item)
    [body] = publisher.bodies
    assert (body["stream"], body["object_ids"]) == ("groups", [group])
    assert member not in json.dumps(body)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("event", list(LifecycleEvent))
@pytest.mark.parametrize("stream", list(Stream))
def test_a_lifecycle_event_becomes_a_notice_on_either_path(
    *,
    client: FlaskClient,
    publisher: RecordingPublisher,
    states: ClientStates,
    path: str,
    event: str,
    stream: Stream,
) -> None:
    item = lifecycle(states, stream, event, resource=None, resourceData=None)
    assert post(client, item, path=path).status_code == 202
    [message] = publisher.sent
    notice = decode_lifecycle(message.body)
    assert (notice.tenant_id, notice.stream, notice.event) == (TENANT, stream, event)
    assert (notice.subscription_id, notice.received_at) == (item["subscriptionId"], NOW)
    assert message.routing_key == f"lifecycle.{event}"


def test_changes_and_lifecycle_events_may_share_a_body(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    event = lifecycle(states, Stream.GROUPS, "missed")
    post(client, change(states, Stream.USERS), event, event, path=LIFECYCLE)
    assert [message.routing_key for message in publisher.sent] == ["request.users", "lifecycle.missed"]


# What is dropped


def bad_items(states: ClientStates) -> dict[str, object]:
    good = change(states, Stream.USERS)
    return {
        "no object": 7,
        "null": None,
        "a list": [good],
        "no tenant": good | {"tenantId": None},
        "a tenant that is no id": good | {"tenantId": "../../etc"},
        "a tenant in braces": good | {"tenantId": f"{{{TENANT}}}"},
        "no resource": good | {"resource": None},
        "a resource that is a number": good | {"resource": 5},
        "an object id that is none": good | {"resourceData": {"id": "me"}},
        "an object id that is a list": good | {"resourceData": {"id": [guid()]}},
        "no object id": good | {"resource": "Users", "resourceData": {}},
        "a lifecycle event without a subscription": lifecycle(states, Stream.USERS, "missed", subscriptionId=None),
    }


@pytest.mark.parametrize("what", list(bad_items(ClientStates([b"any"]))))
def test_a_bad_item_does_not_harm_the_good_ones(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates, what: str
) -> None:
    before, after = guid(), guid()
    answer = post(
        client,
        change(states, Stream.USERS, object_id=before),
        bad_items(states)[what],
        change(states, Stream.USERS, object_id=after),
    )
    assert answer.status_code == 202
    assert [body["object_ids"] for body in publisher.bodies] == [sorted([before, after])]
    assert counted(client, "items", "bad_item") == 1
    assert counted(client, "items", "queued") == 2


def test_a_resource_of_another_kind_is_counted_and_dropped(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    answer = post(client, change(states, Stream.USERS, resource=f"Devices/{guid()}"))
    assert (answer.status_code, publisher.sent) == (202, [])
    assert counted(client, "items", "unknown_resource") == 1


@pytest.mark.parametrize("event", ["somethingNew", "", "MISSED", 7, [], {"a": 1}])
def test_an_unknown_lifecycle_event_is_counted_and_dropped(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates, event: object
) -> None:
    answer = post(client, lifecycle(states, Stream.USERS, "missed", lifecycleEvent=event))
    assert (answer.status_code, publisher.sent) == (202, [])
    assert counted(client, "items", "unknown_lifecycle_event") == 1


def unproven_items(states: ClientStates) -> dict[str, dict[str, object]]:
    good = change(states, Stream.USERS)
    other_key = ClientStates([b"another server key"])
    return {
        "missing": {name: value for name, value in good.items() if name != "clientState"},
        "null": good | {"clientState": None},
        "no text": good | {"clientState": ["x"]},
        "empty": good | {"clientState": ""},
        "wrong": good | {"clientState": "secretClientValue"},
        "only a nonce": good | {"clientState": str(good["clientState"]).partition(".")[0]},
        "cut": good | {"clientState": str(good["clientState"])[:-1]},
        "long": good | {"clientState": "x" * 100_000},
        "of another key": good | {"clientState": other_key.make(TENANT, Stream.USERS)},
        "of the other stream": good | {"clientState": states.make(TENANT, Stream.GROUPS)},
        "of another tenant": good | {"clientState": states.make(OTHER_TENANT, Stream.USERS)},
        "an unknown tenant": good | {"tenantId": guid()},
        "a foreign lifecycle event": lifecycle(other_key, Stream.USERS, "missed"),
    }


@pytest.mark.parametrize("what", list(unproven_items(ClientStates([b"any"]))))
def test_what_does_not_prove_itself_is_accepted_counted_and_dropped(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates, what: str
) -> None:
    answer = post(client, unproven_items(states)[what])
    assert (answer.status_code, publisher.sent) == (202, [])
    assert counted(client, "items", "wrong_client_state") == 1


def test_the_previous_key_still_proves(publisher: RecordingPublisher) -> None:
    rotated = config.load(
        {"ENTRA_SMS_SECRET_KEY": "b" * 40, "ENTRA_SMS_SECRET_KEY_PREVIOUS": SECRET_KEY},
    )
    client = create_app(rotated, publisher).test_client()
    post(client, change(ClientStates.from_settings(SETTINGS), Stream.USERS))
    post(client, change(ClientStates.from_settings(rotated), Stream.USERS))
    assert len(publisher.sent) == 2


def test_no_items_are_fine(client: FlaskClient, publisher: RecordingPublisher) -> None:
    assert post(client).status_code == 202
    assert publisher.sent == []


def test_nothing_of_what_was_sent_is_logged(
    client: FlaskClient, states: ClientStates, capfd: pytest.CaptureFixture[str]
) -> None:
    items = [*bad_items(states).values(), *unproven_items(states).values(), change(states, Stream.USERS)]
    post(client, *items)
    client.post(f"{NOTIFICATIONS}?validationToken=very-secret", headers=JSON)
    said = "".join(capfd.readouterr())
    assert "notifications_dropped" in said
    for word in ("very-secret", "etc", "secretClientValue", str(items[-1]["clientState"])):
        assert word not in said


# What is refused

NOT_A_COLLECTION = {
    "empty": b"",
    "no JSON": b"value=1",
    "a list": b"[]",
    "a text": b'"value"',
    "null": b"null",
    "no value": b"{}",
    "value is no list": b'{"value":{}}',
    "value is null": b'{"value":null}',
    "not a number": b'{"value":[],"x":NaN}',
    "invalid UTF-8": b'{"value":["\xff"]}',
    "half a surrogate": b'{"value":["\\ud800"]}',
    "UTF-16": '{"value":[]}'.encode("utf-16"),
    "cut off": b'{"value":[{"tenantId"',
    "two values": b'{"value":[]}{"value":[]}',
    "deep lists": b'{"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"value":' * 50_000 + b"1" + b"}" * 50_000,
    "zeros": b"\0" * 1000,
    "a number of 5,000 digits": b'{"value":[' + b"9" * 5000 + b"]}",
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("what", list(NOT_A_COLLECTION))
def test_what_is_no_collection_is_answered_with_400_and_queues_nothing(
    client: FlaskClient, publisher: RecordingPublisher, what: str, path: str
) -> None:
    answer = client.post(path, data=NOT_A_COLLECTION[what], headers=JSON)
    assert (answer.status_code, answer.json, publisher.sent) == (400, {"error": "Bad Request"}, [])
    assert counted(client, "posts", "bad_request") == 1


ODD_BUT_FINE = {
    "a number beyond 2^53": b'{"value":[{"sequenceNumber":639080361301234567}]}',
    "a number beyond 64 bits": b'{"value":[' + b"9" * 300 + b"]}",
    "the same key twice": b'{"value":null,"value":[{}]}',
    "ten thousand items": b'{"value":[' + b",".join([b"{}"] * 10_000) + b"]}",
    "a list in a list": b'{"value":[' + b"[" * 500 + b"]" * 500 + b"]}",
    "more beside the value": b'{"value":[],"validationTokens":[],"@odata.context":"x"}',
}


@pytest.mark.parametrize("what", list(ODD_BUT_FINE))
def test_odd_bodies_are_accepted_and_come_to_nothing(
    client: FlaskClient, publisher: RecordingPublisher, what: str
) -> None:
    assert client.post(NOTIFICATIONS, data=ODD_BUT_FINE[what], headers=JSON).status_code == 202
    assert publisher.sent == []


def test_ten_thousand_good_items_are_one_message(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    item = {"tenantId": TENANT, "resource": f"Users/{guid()}", "clientState": "x"}
    item["clientState"] = states.make(TENANT, Stream.USERS)
    body = json.dumps({"value": [item]}).encode()
    fitting = b",".join([body[len('{"value": [') : -2]] * 5_000)
    answer = client.post(NOTIFICATIONS, data=b'{"value":[' + fitting + b"]}", headers=JSON)
    assert (answer.status_code, len(publisher.sent)) == (202, 1)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jso"]
)
def test_another_content_type_is_answered_with_415(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates, content_type: str
) -> None:
    body = json.dumps({"value": [change(states, Stream.USERS)]})
    answer = client.post(NOTIFICATIONS, data=body, headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json, publisher.sent) == (415, {"error": "Unsupported Media Type"}, [])


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_the_content_type_may_be_written_in_any_way(client: FlaskClient, content_type: str) -> None:
    answer = client.post(NOTIFICATIONS, data=b'{"value":[]}', headers={"Content-Type": content_type})
    assert answer.status_code == 202


def padded(length: int) -> bytes:
    return b'{"value":[]}'.ljust(length)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_one_mebibyte_is_answered_with_413(client: FlaskClient, chunked: bool) -> None:
    def answer(length: int) -> int:
        if not chunked:
            return client.post(NOTIFICATIONS, data=padded(length), headers=JSON).status_code
        stream = io.BytesIO(padded(length))
        environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        return client.post(NOTIFICATIONS, input_stream=stream, headers=JSON, environ_overrides=environ).status_code

    assert answer(BODY_LIMIT_BYTES) == 202
    assert answer(BODY_LIMIT_BYTES + 1) == 413
    assert answer(BODY_LIMIT_BYTES * 3) == 413


def test_a_body_that_breaks_off_is_answered_with_400(client: FlaskClient) -> None:
    class Broken(io.RawIOBase):
        def readinto(self, _buffer: object) -> int:
            raise RuntimeError("as a server's own error")

    environ = {"wsgi.input": Broken(), "wsgi.input_terminated": True}
    answer = client.post(NOTIFICATIONS, data=b"{}", headers=JSON, environ_overrides=environ)
    assert answer.status_code == 400


def test_without_the_broker_the_answer_is_503_and_when_to_come_again(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates
) -> None:
    publisher.away = True
    answer = post(client, change(states, Stream.USERS))
    assert (answer.status_code, answer.json) == (503, {"error": "Service Unavailable"})
    assert int(answer.headers["Retry-After"]) > 0
    assert counted(client, "items", "queued") == 0
    assert counted(client, "posts", "broker_unavailable") == 1


def test_without_the_broker_what_comes_to_nothing_is_still_accepted(
    client: FlaskClient, publisher: RecordingPublisher
) -> None:
    publisher.away = True
    assert post(client, {"bad": "item"}).status_code == 202


def test_a_defect_is_answered_with_500_and_no_detail(
    client: FlaskClient, publisher: RecordingPublisher, states: ClientStates, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("some inner detail")

    monkeypatch.setattr(publisher, "publish_all", fail)
    answer = post(client, change(states, Stream.USERS))
    assert (answer.status_code, answer.json) == (500, {"error": "Internal Server Error"})


@pytest.mark.parametrize(
    "path", ["/", "/graph", "/graph/notifications/", "/graph//notifications", "/static/x", "/%ff", "/health"]
)
def test_other_addresses_are_answered_with_404_and_no_detail(client: FlaskClient, path: str) -> None:
    answer = client.post(path, headers=JSON)
    assert (answer.status_code, answer.json) == (404, {"error": "Not Found"})


# Health


def test_it_is_alive_with_and_ready_only_with_the_broker(client: FlaskClient, publisher: RecordingPublisher) -> None:
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 200
    publisher.away = True
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 503
