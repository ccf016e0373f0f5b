"""Messages: what is encoded comes back; whatever else comes is refused with a sentence that repeats none of it."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.commands import decode_command
from common.errors import MessageUnreadableError
from common.messages import (
    LifecycleEvent,
    LifecycleNotice,
    Mode,
    Reason,
    Stream,
    SyncRequest,
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


FIELDS = ["tenant_id", "stream", "reason", "requested_at", "mode", "object_ids", "follow_up", "attempt"]


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
        with pytest.raises(MessageUnreadableError, match=r"The (body|message) (is|has)"):
            decode(body)
