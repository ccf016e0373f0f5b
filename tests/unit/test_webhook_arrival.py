"""When a request is all there: at its last byte and not before, however it says how long it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.arrival import JUDGED_BYTES_LIMIT, has_arrived, is_notification

BEGINNING = b"POST /graph/notifications HTTP/1.1\r\nHost: a\r\n"
REQUESTS = {
    "no body": BEGINNING + b"\r\n",
    "a length": BEGINNING + b"Content-Length: 12\r\n\r\n" + b"\r\n\r\n" * 3,
    "a length in small letters": BEGINNING + b"content-length:5\r\nX: y\r\n\r\nabcde",
    "chunks": BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
    "chunks with a trailer": BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
}


@pytest.mark.parametrize("what", list(REQUESTS))
def test_a_request_has_arrived_with_its_last_byte_and_not_before(what: str) -> None:
    request = REQUESTS[what]
    assert [has_arrived(request[:end]) for end in range(len(request) + 1)] == [False] * len(request) + [True]


@pytest.mark.parametrize(
    "received",
    [
        b"hello\r\n\r\n",
        BEGINNING + b"Content-Length: ten\r\n\r\n",
        BEGINNING + b"Transfer-Encoding: chunked\r\n\r\nno number",
        BEGINNING + b"Content-Length: 500\r\nExpect: 100-continue\r\n\r\n",
        b"a" * JUDGED_BYTES_LIMIT,
        BEGINNING + b"Content-Length: 100000\r\n\r\n" + b" " * JUDGED_BYTES_LIMIT,
    ],
)
def test_what_cannot_be_judged_or_waits_for_us_has_arrived(received: bytes) -> None:
    assert has_arrived(received)


@given(st.binary(max_size=300), st.sampled_from([b"", BEGINNING, BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n"]))
def test_whatever_arrives_is_judged(received: bytes, beginning: bytes) -> None:
    assert has_arrived(beginning + received) in (True, False)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (REQUESTS["a length"], True),
        (REQUESTS["a length"].replace(b"notifications", b"notifications?validationToken=a"), False),
        (REQUESTS["a length"].replace(b"notifications", b"notifications?ValidationToken=a"), False),
        (REQUESTS["a length"].replace(b"POST", b"GET"), False),
        (REQUESTS["a length"] * 2, False),
        (REQUESTS["no body"], False),
        (REQUESTS["chunks"], False),
        (b"a" * JUDGED_BYTES_LIMIT, False),
    ],
)
def test_only_one_whole_notification_can_be_refused_unread(received: bytes, expected: bool) -> None:
    assert is_notification(received) is expected
