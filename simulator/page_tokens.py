"""The opaque tokens in nextLink and deltaLink: encrypted, signed, bound to one tenant.

A token is all that the service remembers of a round. It carries what was selected, where the reader stands and which
generation of the directory it belongs to, so follow-up requests need no options of their own.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import asdict, dataclass
from typing import Any, Self

import orjson
from cryptography.fernet import Fernet, InvalidToken

# Real links are one to four kilobytes long; whoever stores them in a short column should find out here.
_SHORTEST_PAYLOAD = 900


@dataclass(frozen=True)
class PageToken:
    """Where a reader stands.

    Attributes:
        use: `skip` inside a round, `delta` between rounds, `list` in plain listings.
        stream: What is read: `user`, `group` or the path of a listing.
        generation: The life of the directory that minted it; another one means expired.
        issued_at: Simulated epoch seconds.
        select: Names selected at the start of the round, None for the default set.
        ids: Ids of the filter, None without a filter.
        since: Change number the round started after, None in an initial round.
        until: Change number that the round's deltaLink will start from.
        position: Roster position (initial round, listing) or change number (incremental round) reached.
        pending: Groups whose members are not all told yet: (group position, member position).
        again: Ids to be repeated on the next page.
        empties: Empty pages still to be served.
        previous: Change number the previous round started after.
        page_size: Objects per page in a listing.
    """

    use: str
    stream: str
    generation: str
    issued_at: float
    select: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None
    since: int | None = None
    until: int = 0
    position: int = 0
    pending: tuple[tuple[int, int], ...] = ()
    again: tuple[str, ...] = ()
    empties: int = 0
    previous: int | None = None
    page_size: int = 0

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Self:
        body.pop("padding")
        for name in ("select", "ids", "again"):
            body[name] = None if body[name] is None else tuple(body[name])
        body["pending"] = tuple((group, member) for group, member in body["pending"])
        return cls(**body)


class PageTokens:
    """Seals and opens tokens of one tenant; the key is a function of the tenant, so restarts can read old tokens."""

    def __init__(self, tenant_id: str) -> None:
        key = hashlib.sha256(b"page tokens of " + tenant_id.encode()).digest()
        self._box = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, token: PageToken) -> str:
        """Return the text for a URL. It contains `-`, `_` and percent escapes, and is to be passed on untouched."""
        body = asdict(token)
        missing = _SHORTEST_PAYLOAD - len(orjson.dumps(body))
        body["padding"] = secrets.token_urlsafe(max(1, missing * 3 // 4))
        return self._box.encrypt(orjson.dumps(body)).decode().replace("=", "%3d")

    def open(self, text: str) -> PageToken | None:
        """Return the token, or None when this tenant never issued such a text."""
        try:
            body = orjson.loads(self._box.decrypt(text.encode()))
        except (InvalidToken, ValueError):
            return None
        return PageToken.from_json(body)
