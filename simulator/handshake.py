"""The validation of a notification address: it must give the token back, as plain text, in time.

The request is written with http.client, because every byte of the address counts: the service escapes in lower-case
hex with `+` for spaces, and other clients would tidy that up.

Source: "Receive change notifications through webhooks", endpoint validation.
"""

from __future__ import annotations

import http.client
import itertools
import re
import ssl
import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import quote_plus, urlsplit

from simulator.graph_errors import GraphError

_MUST_ANSWER = "Notification endpoint must respond with 200 OK to validation request."
_LONGEST_ANSWER = 8_192


class Handshakes:
    """Validates addresses whose certificates `trust` accepts."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        self._trust = trust
        self._endings: Iterator[str] = itertools.cycle(("", " (a+b=100%&c;d/e?f)", " +%2B%25 #1, 'x'"))

    def validate(self, url: str, timeout_seconds: float) -> None:
        """Return when the address answered well.

        Raises:
            GraphError: 400 with the complaint clients get to see.
        """
        token = f"Validation: Testing client application reachability for subscription Request-Id: {uuid.uuid4()}"
        token += next(self._endings)
        began = time.monotonic()
        try:
            status, content_type, body = self._ask(url, token, timeout_seconds)
        except TimeoutError:
            raise _timed_out() from None
        except (OSError, http.client.HTTPException) as problem:
            raise _refused(f"{type(problem).__name__}. ") from problem
        if time.monotonic() - began > timeout_seconds:
            raise _timed_out()
        if status != HTTPStatus.OK:
            raise _refused(f"HTTP status code is '{_status_name(status)}'. ")
        if content_type.partition(";")[0].strip().lower() != "text/plain" or body != token.encode():
            raise _refused("")

    def _ask(self, url: str, token: str, timeout_seconds: float) -> tuple[int, str, bytes]:
        parts = urlsplit(url)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 443, timeout=timeout_seconds, context=self._trust
        )
        query = f"{parts.query}&" if parts.query else ""
        target = f"{parts.path or '/'}?{query}validationToken={form_encoded(token)}"
        try:
            headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": "0"}
            connection.request("POST", target, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read(_LONGEST_ANSWER)
        finally:
            connection.close()


def form_encoded(text: str) -> str:
    """Escape as the service does: `+` for a space, lower-case hex for everything but letters, digits and `-_.`."""
    return re.sub(r"%[0-9A-F]{2}", lambda escape: escape[0].lower(), quote_plus(text))


def _status_name(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.replace(" ", "").replace("-", "")
    except ValueError:
        return str(status)


def _refused(detail: str) -> GraphError:
    return GraphError(400, "ValidationError", f"Subscription validation request failed. {detail}{_MUST_ANSWER}")


def _timed_out() -> GraphError:
    return GraphError(400, "ValidationError", f"Subscription validation request timed out. {_MUST_ANSWER}")
