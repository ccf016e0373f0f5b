"""Cursors: after which id a list goes on. They hold nothing that changes, so the pages of a list overlap in nobody.

A list is ordered by object ids, which are for ever. Whoever is in it all the time is told once, whatever comes, goes or
changes between two pages. A cursor also says which list it belongs to: with other filters it is refused.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from flask import request

from console.api.problems import Kind, ProblemError
from console.api.queries import PageQuery

_ID_BYTES = 16
_LIST_BYTES = 8


def encode(query: PageQuery, after: str) -> str:
    """Return the cursor behind which the list of this request goes on after an object id."""
    return urlsafe_b64encode(UUID(after).bytes + _list_of(query)).decode()


def decode(query: PageQuery) -> str | None:
    """Return after which object id the list goes on; None: it begins.

    Raises:
        ProblemError: it is no cursor, or one of another list.
    """
    if query.cursor is None:
        return None
    try:
        known = urlsafe_b64decode(query.cursor.encode("ascii"))
    except ValueError:
        known = b""
    if len(known) != _ID_BYTES + _LIST_BYTES or known[_ID_BYTES:] != _list_of(query):
        raise ProblemError(
            Kind.INVALID_CURSOR,
            "cursor: it is none, or it belongs to another list or to other filters. Give next_cursor of the page "
            "before, with the same path and parameters; or leave it out and begin anew.",
        )
    return str(UUID(bytes=known[:_ID_BYTES]))


def _list_of(query: PageQuery) -> bytes:
    filters = query.model_dump_json(exclude={"cursor", "limit"})
    return hashlib.sha256(f"{request.path}\n{filters}".encode()).digest()[:_LIST_BYTES]
