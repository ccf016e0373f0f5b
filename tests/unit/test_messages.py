"""Messages: what is encoded comes back; whatever else comes is refused with a sentence that repeats none of it."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import MessageUnreadableError
from common.messages import (
    Command,
    LifecycleEvent,
    LifecycleNotice,
    Mode,
    Reason,
    Stream,
    SyncRequest,
    Verb,
    decode_command,
    decode_lifecycle,
    decode_request,
    encode,
)

TENANT = "9c110000-0000-4000-8000-0000000000aa"
AT = datetime(2026, 3, 2, 8, 15, 30, 123456, tzinfo=UTC)

guids = st.uuids().map(str)
moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants them without
counts = st.integers(0, 999_999)
requests = st.builds(
    SyncRequest,
    tenant_id=guids,
    stream=st.sampled_from(Stream),
    reason=st.sampled_from(Reason),
    requested_at=moments,
    mode=st.sampled_from(Mode),
    object_ids=st.lists(guids, max_size=5).map(tuple),
    follow_up=counts,
    attempt=counts,
    request_ids=st.lists(st.text(max_size=20), max_size=3).map(tuple),
)
notices = st.builds(
    LifecycleNotice,
    tenant_id=guids,
    stream=st.sampled_from(Stream),
    event=st.sampled_from(LifecycleEvent),
    subscription_id=guids,
    received_at=moments,
)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)
DECODERS: list[Callable[[bytes], Any]] = [decode_request, decode_lifecycle, lambda body: decode_command(body, "id")]


@given(requests)
def test_a_request_comes_back_as_it_was(request: SyncRequest) -> None:
    assert decode_request(encode(request)) == request


@given(notices)
def test_a_notice_comes_back_as_it_was(notice: LifecycleNotice) -> None:
    assert decode_lifecycle(encode(notice)) == notice


def test_a_request_is_short_and_readable() -> None:
    body = encode(SyncRequest(TENANT, Stream.USERS, Reason.POLL, AT))
    assert json.loads(body) == {
        "tenant_id": TENANT,
        "stream": "users",
        "reason": "poll",
        "requested_at": "2026-03-02T08:15:30.123456Z",
        "mode": "incremental",
    }


def test_trying_again_counts_the_attempts_and_changes_nothing_else() -> None:
    request = SyncRequest(TENANT, Stream.USERS, Reason.POLL, AT, object_ids=("x",))
    assert request.again().again() == SyncRequest(TENANT, Stream.USERS, Reason.POLL, AT, object_ids=("x",), attempt=2)


@pytest.mark.parametrize("decode", DECODERS)
@given(st.binary(max_size=100) | jsons.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_it_is_read_or_refused(decode: Callable[[bytes], Any], body: bytes) -> None:
    with suppress(MessageUnreadableError):
        decode(body)


FIELDS = ["tenant_id", "stream", "reason", "requested_at", "mode", "object_ids", "follow_up", "attempt", "request_ids"]


@given(st.sampled_from(FIELDS), jsons)
def test_a_request_with_one_odd_field_is_read_or_refused_by_its_name(field: str, value: object) -> None:
    fields = json.loads(encode(SyncRequest(TENANT, Stream.USERS, Reason.POLL, AT)))
    with suppress(MessageUnreadableError):
        decode_request(json.dumps(fields | {field: value}).encode())
        return
    with pytest.raises(MessageUnreadableError, match=f'"{field}" must be'):
        decode_request(json.dumps(fields | {field: value}).encode())


@pytest.mark.parametrize("field", ["tenant_id", "stream", "reason", "requested_at"])
def test_a_request_without_what_it_needs_is_refused(field: str) -> None:
    fields = json.loads(encode(SyncRequest(TENANT, Stream.USERS, Reason.POLL, AT)))
    del fields[field]
    with pytest.raises(MessageUnreadableError, match=field):
        decode_request(json.dumps(fields).encode())


def test_fields_of_a_later_version_are_ignored() -> None:
    fields = json.loads(encode(SyncRequest(TENANT, Stream.USERS, Reason.POLL, AT)))
    assert decode_request(json.dumps(fields | {"new": 1}).encode()).tenant_id == TENANT


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, b"\xff", b"", b"null", b"[]"])
def test_hostile_bodies_are_refused(body: bytes) -> None:
    for decode in DECODERS:
        with pytest.raises(MessageUnreadableError, match="The body is"):
            decode(body)


def test_a_command_is_read_as_a_person_types_it() -> None:
    typed = b'{"command":"full_resync","tenant":" contoso.com ","stream":"users"}'
    assert decode_command(typed, "7") == Command(Verb.FULL_RESYNC, "contoso.com", Stream.USERS, "7")
    assert decode_command(b'{"command":"sync_now","tenant":"*","stream":"*"}', "7").stream is None
    assert decode_command(b'{"command":"sync_now","tenant":"*"}', "7").stream is None


def test_a_wrong_command_is_told_what_would_have_been_right() -> None:
    with pytest.raises(MessageUnreadableError, match=r'"command" must be one of: full_resync, sync_now'):
        decode_command(b'{"command":"resync","tenant":"*"}', "7")
    with pytest.raises(MessageUnreadableError, match=r'"\*" for all'):
        decode_command(b'{"command":"sync_now"}', "7")
    with pytest.raises(MessageUnreadableError, match="users, groups"):
        decode_command(b'{"command":"sync_now","tenant":"*","stream":"people"}', "7")


def test_a_decision_names_its_hold_and_what_was_shown_of_it() -> None:
    typed = b'{"command":"approve_removals","tenant":"contoso.com","hold":3,"up_to":523}'
    assert decode_command(typed, "7") == Command(Verb.APPROVE_REMOVALS, "contoso.com", None, "7", 3, 523)
    assert decode_command(b'{"command":"reject_removals","tenant":"contoso.com","hold":3}', "7").hold_id == 3
    with pytest.raises(MessageUnreadableError, match=r'"hold" is missing.*entra-sms holds list'):
        decode_command(b'{"command":"reject_removals","tenant":"contoso.com"}', "7")
    with pytest.raises(MessageUnreadableError, match=r'"up_to" is missing.*entra-sms holds show'):
        decode_command(b'{"command":"approve_removals","tenant":"contoso.com","hold":3}', "7")
    large = b'{"command":"approve_removals","tenant":"contoso.com","hold":3,"up_to":2147483647}'
    assert decode_command(large, "7").up_to == 2_147_483_647
    with pytest.raises(MessageUnreadableError, match='"up_to" must be a whole number'):
        decode_command(large.replace(b"647}", b"648}"), "7")
    with pytest.raises(MessageUnreadableError, match='"up_to" must be a whole number'):
        decode_command(b'{"command":"approve_removals","tenant":"contoso.com","hold":3,"up_to":"all"}', "7")
