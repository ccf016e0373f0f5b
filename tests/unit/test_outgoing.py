"""What goes out: where to, with which type and headers."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from common.broker import outgoing
from common.commands import Verb, decode_command
from common.messages import LifecycleEvent, LifecycleNotice, Reason, Stream, SyncRequest, encode

REQUEST = SyncRequest(
    "9c110000-0000-4000-8000-0000000000aa", Stream.GROUPS, Reason.POLL, datetime(2026, 1, 1, tzinfo=UTC)
)


def test_a_request_goes_to_its_stream_at_once_or_through_a_delay() -> None:
    at_once, later = outgoing.request(REQUEST), outgoing.request(REQUEST, delay_seconds=10)
    assert (at_once.exchange, at_once.routing_key) == ("sync", "request.groups")
    assert (later.exchange, later.routing_key) == ("", "sync.delayed.15s")
    assert at_once.body == later.body == encode(REQUEST)
    assert at_once.headers == later.headers == {"x-tenant": REQUEST.tenant_id, "x-stream": "groups", "x-reason": "poll"}


def test_each_message_has_an_id_of_its_own() -> None:
    assert outgoing.request(REQUEST).message_id != outgoing.request(REQUEST).message_id


def test_a_notice_goes_by_its_event() -> None:
    event = LifecycleEvent.REAUTHORIZATION_REQUIRED
    notice = LifecycleNotice(REQUEST.tenant_id, Stream.USERS, event, REQUEST.tenant_id, REQUEST.requested_at)
    assert outgoing.lifecycle(notice).routing_key == "lifecycle.reauthorizationRequired"
    assert outgoing.lifecycle(notice).type == "lifecycle"


def test_a_command_is_what_a_person_would_type() -> None:
    message = outgoing.command(Verb.SYNC_NOW, {"tenant": "*", "stream": "users"}, "id-1")
    assert (message.routing_key, message.message_id) == ("command.sync_now", "id-1")
    assert decode_command(message.body, "id-1").stream is Stream.USERS


def test_a_dead_letter_says_where_it_came_from_and_the_first_line_of_why() -> None:
    letter = outgoing.dead_letter(
        b"body", queue="sync.requests", message_type="sync_request", reason="unreadable", error=f"{'x' * 300}\nsecond"
    )
    assert (letter.routing_key, letter.body, letter.type) == ("dead.worker", b"body", "sync_request")
    assert letter.headers == {"x-origin-queue": "sync.requests", "x-reason": "unreadable", "x-error": "x" * 200}
    empty = outgoing.dead_letter(b"", queue="q", message_type="", reason="r", error="")
    assert replace(empty, message_id="").headers["x-error"] == ""


def test_a_dead_letter_is_still_the_same_message() -> None:
    letter = outgoing.dead_letter(
        b"", queue="q", message_type="\ufffd" * 255, reason="r", error="", message_id="id-1", replays=2
    )
    nameless = outgoing.dead_letter(b"", queue="q", message_type="", reason="r", error="")

    assert (letter.message_id, letter.headers["x-replays"]) == ("id-1", 2)
    assert letter.type == "\ufffd" * 85  # AMQP takes 255 bytes
    assert nameless.message_id
    assert "x-replays" not in nameless.headers


def test_an_event_goes_to_whoever_is_bound_and_is_the_same_message_each_time() -> None:
    body = {"event": "contact.removed", "tenant_id": REQUEST.tenant_id, "sequence": 7, "contact": {"object_id": "Ł"}}
    message = outgoing.event(body)
    assert (message.exchange, message.routing_key, message.type) == (
        "addressbook",
        "contact.removed",
        "contact.removed",
    )
    assert message.headers == {"x-tenant": REQUEST.tenant_id, "x-sequence": 7}
    assert message == outgoing.event(body)
    assert not message.is_mandatory, "nobody has to listen"
    assert json.loads(message.body) == body


def test_an_event_for_one_queue_has_to_arrive_there() -> None:
    message = outgoing.event({"event": "snapshot.began", "tenant_id": REQUEST.tenant_id}, queue="sms-platform")
    assert (message.exchange, message.routing_key, message.type) == ("", "sms-platform", "snapshot.began")
    assert message.headers == {"x-tenant": REQUEST.tenant_id}
    assert message.is_mandatory
