"""Whether a request is all there: only then it is served, so that slow clients cost no thread.

It is not parsed here. What cannot be judged gets a thread, and there the server's own parser says what is wrong.
"""

from __future__ import annotations

import re

JUDGED_BYTES_LIMIT = 65_536
"""Larger requests are read by a thread. Graph's have a few kilobytes; so little may be kept for each slow client."""

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_NO_CHUNK = re.compile(rb"[0-9a-f]*[^0-9a-f;\r\n \t]", re.IGNORECASE)
_ASKS_FIRST = re.compile(rb"\r\nexpect:", re.IGNORECASE)


def has_arrived(received: bytes | bytearray) -> bool:
    """Tell whether who serves the request that begins with `received` has nothing to wait for, or cannot know it."""
    if len(received) >= JUDGED_BYTES_LIMIT:
        return True
    end = received.find(_END_OF_HEAD)
    if end < 0:
        return False
    head = received[: end + 2]
    if _ASKS_FIRST.search(head):
        return True  # the body comes only when it is asked for
    if _CHUNKED.search(head):
        return received.endswith(_END_OF_HEAD, end + 4) or bool(_NO_CHUNK.match(received, end + 4))
    length = _LENGTH.search(head)
    return length is None or len(received) >= end + 4 + int(length[1])


def is_notification(received: bytes | bytearray) -> bool:
    """Tell whether `received`, which has arrived, is one whole notification: it can be refused, and waits for nothing.

    Not the handshake, which is seldom and cannot be made up for; not the question for health; nothing of which more
    may follow.
    """
    end = received.find(_END_OF_HEAD)
    line = received[: received.find(b"\r\n")]
    length = _LENGTH.search(received[: end + 2])
    return (
        line.startswith(b"POST ")
        and b"validationtoken" not in line.lower()
        and length is not None
        and len(received) == end + 4 + int(length[1])
    )
