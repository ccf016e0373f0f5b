"""The bytes that go to the webhook, prepared once, and what is read of its answers. Shared by all who post."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

PATH = "/graph/notifications"
HONEST, FORGED, ABANDONED = 1, 2, 3
"""Who made an object id up, which is written in its first digits."""

ANSWER_SECONDS = 15.0
LOST = (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError)
"""Everything by which a connection ends without an answer; EOFError is asyncio's IncompleteReadError too."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@dataclass(frozen=True)
class Target:
    """Where the webhook listens, who vouches for it, and a `clientState` that proves `tenant` and its users."""

    host: str
    port: int
    bundle: str
    tenant: str
    state: str

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.bundle)


@dataclass(frozen=True)
class Answer:
    """Status, whether a 503 says when to come again, and whether the connection ends."""

    status: int
    has_retry_after: bool
    closes: bool


def object_id(kind: int, number: int) -> str:
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def notification(target: Target, named_id: str, **changed: Any) -> bytes:
    """Return the body that Graph posts for one changed user."""
    item = {
        "changeType": "updated",
        "clientState": target.state,
        "resource": f"Users/{named_id}",
        "resourceData": {
            "@odata.type": "#Microsoft.Graph.User",
            "@odata.id": f"Users/{named_id}",
            "id": named_id,
            "organizationId": target.tenant,
            "eventTime": "2026-03-02T08:15:30.1234567Z",
            "sequenceNumber": 639080361301234567,
        },
        "subscriptionExpirationDateTime": "2026-03-20T00:00:00+00:00",
        "subscriptionId": object_id(0, 7),
        "tenantId": target.tenant,
    }
    return json.dumps({"value": [item | changed]}).encode()


def head(*lines: str) -> bytes:
    """Return the beginning of a POST, with `lines` as further headers."""
    first = (f"POST {PATH} HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    return "\r\n".join((*first, *lines, "", "")).encode()


def post(body: bytes) -> bytes:
    return head(f"Content-Length: {len(body)}") + body


async def answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer to its end.

    Raises:
        OSError, EOFError, TimeoutError: there is none.
    """
    async with asyncio.timeout(ANSWER_SECONDS):
        start = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(start)
        if length:
            await reader.readexactly(int(length[1]))
    return Answer(int(start[9:12]), bool(_RETRY_AFTER.search(start)), bool(_CLOSES.search(start)))
