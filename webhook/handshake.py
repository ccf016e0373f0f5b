"""Graph's question whether anybody is here: it calls with a token and wants exactly that back, as plain text.

Anybody can ask it, so it is only ever echoed, as bytes and up to a length.
Source: Microsoft Graph, change notifications, validation of the notification address.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

PARAMETER = b"validationToken"
LONGEST_TOKEN_BYTES = 2_048
"""Graph's own tokens have 117 characters."""


def validation_token(query: bytes) -> bytes | None:
    """Return the token in the query string, decoded once as form data (``+`` is a space), or None without one."""
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if _form_decoded(name) == PARAMETER:
            return _form_decoded(value)
    return None


def is_acceptable(token: bytes) -> bool:
    return 0 < len(token) <= LONGEST_TOKEN_BYTES


def _form_decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
