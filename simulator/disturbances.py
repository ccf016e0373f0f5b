"""Faults that strike an answer on its way out: cut off, replaced by a web page, or never sent."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

from flask import Response, request

from simulator.faults import Faults

# Where the server leaves the connection of a request, for resets.
CONNECTION_KEY = "simulator.connection"
_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Service notice</h1></body></html>"


def disturb(answer: Response, faults: Faults) -> Response:
    """Return the answer, or what the knobs make of it. Only successes are disturbed."""
    if faults.fires("connection_reset"):
        reset(request.environ.get(CONNECTION_KEY))
        return Response(status=500, headers={"Connection": "close"})
    if answer.status_code != 200:
        return answer
    if faults.fires("html_instead_of_json"):
        return Response(_PAGE, status=200, content_type="text/html; charset=utf-8")
    if faults.fires("truncated_json"):
        body = answer.get_data()
        answer.set_data(body[: len(body) * 2 // 3])
    return answer


def reset(connection: Any) -> None:
    """Break a client's connection without an answer; nothing happens where there is no connection."""
    if connection is None:
        return
    with contextlib.suppress(OSError):
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.shutdown(socket.SHUT_RDWR)
