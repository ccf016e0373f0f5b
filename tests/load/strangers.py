"""What strangers do meanwhile: `python -m tests.load.strangers TARGET.json RESULT.json SECONDS SLOW_CLIENTS`.

Bodies without end, nonsense, forgeries, drip-fed requests, connections left half-way, broken TLS. The result says of
each kind how often it was answered with what (0: not at all).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import ssl
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.load.wire import ABANDONED, FORGED, LOST, Target, answer, head, notification, object_id, post

PAUSE_SECONDS = 0.25
"""Between two strangers of one kind."""

DRIP_SECONDS = 0.5
OVERSIZED_BYTES = 1_200_000
_CHUNK = b"10000\r\n" + b" " * 65_536 + b"\r\n"


class Strangers:
    """Each method but `meet` is one stranger of a kind: it returns the status of its answer, 0 without one."""

    def __init__(self, target: Target) -> None:
        self.met: dict[str, Counter[int]] = defaultdict(Counter)
        self._target = target
        self._trusting = target.trusting()
        self._numbers = itertools.count(1)

    async def meet(self, seconds: float, slow_clients: int) -> None:
        """Let strangers of all kinds come one after the other, the slow ones many at a time."""
        ends_at = time.monotonic() + seconds
        quick = (
            self.oversized_with_length,
            self.oversized_in_chunks,
            self.without_length,
            self.malformed_json,
            self.forged_state,
            self.half_closed,
            self.gone_before_the_answer,
            self.no_tls,
            self.broken_handshake,
        )
        slow = (self.dripped_headers, self.dripped_body, self.silent, self.silent_after_handshake)
        async with asyncio.TaskGroup() as tasks:
            for kind in quick:
                tasks.create_task(self._repeat(kind, ends_at, PAUSE_SECONDS))
            for number in range(slow_clients):
                tasks.create_task(self._repeat(slow[number % len(slow)], ends_at, 0.0))

    async def oversized_with_length(self) -> int:
        async with self._connected() as (reader, writer):
            writer.write(head(f"Content-Length: {OVERSIZED_BYTES}") + b" " * OVERSIZED_BYTES)
            return (await answer(reader)).status

    async def oversized_in_chunks(self) -> int:
        async with self._connected() as (reader, writer):
            writer.write(head("Transfer-Encoding: chunked") + _CHUNK * (OVERSIZED_BYTES // 65_536) + b"0\r\n\r\n")
            return (await answer(reader)).status

    async def without_length(self) -> int:
        async with self._connected() as (reader, writer):
            writer.write(head() + b" " * 100_000)
            return (await answer(reader)).status

    async def malformed_json(self) -> int:
        return await self._posted(b'{"value":[' * 200)

    async def forged_state(self) -> int:
        named_id = object_id(FORGED, next(self._numbers))
        return await self._posted(notification(self._target, named_id, clientState="00" * 12 + "." + "0" * 36))

    async def half_closed(self) -> int:
        """The client says no more, but would listen."""
        async with self._connected() as (reader, writer):
            writer.write(post(self._abandoned()))
            writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
            return (await answer(reader)).status

    async def gone_before_the_answer(self) -> int:
        async with self._connected() as (_, writer):
            writer.write(post(self._abandoned()))
        return 0

    async def no_tls(self) -> int:
        """Plain HTTP, or noise, where TLS is spoken."""
        async with self._connected(tls=False) as (reader, writer):
            writer.write(post(b"{}") if next(self._numbers) % 2 else os.urandom(300))
            await reader.read()
        return 0

    async def broken_handshake(self) -> int:
        """The first flight of a handshake, cut short or followed by noise."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with suppress(ssl.SSLWantReadError):
            self._trusting.wrap_bio(incoming, outgoing, server_hostname=self._target.host).do_handshake()
        hello = outgoing.read()
        async with self._connected(tls=False) as (reader, writer):
            if next(self._numbers) % 2:
                writer.write(hello[: len(hello) // 2])
                writer.write_eof()
            else:
                writer.write(hello + os.urandom(300))
            await reader.read()
        return 0

    async def dripped_headers(self) -> int:
        async with self._connected() as (reader, writer):
            return await self._drip(reader, writer, head("Content-Length: 500") * 10)

    async def dripped_body(self) -> int:
        async with self._connected() as (reader, writer):
            writer.write(head("Content-Length: 5000"))
            return await self._drip(reader, writer, b" " * 5_000)

    async def silent(self) -> int:
        """A connection, and then nothing."""
        async with self._connected(tls=False) as (reader, _):
            await reader.read()
        return 0

    async def silent_after_handshake(self) -> int:
        async with self._connected() as (reader, _):
            await reader.read()
        return 0

    async def _repeat(self, kind: Callable[[], Awaitable[int]], ends_at: float, pause_seconds: float) -> None:
        while (left := ends_at - time.monotonic()) > 0:
            status = 0
            with suppress(*LOST):
                async with asyncio.timeout(left):
                    status = await kind()
            self.met[kind.__name__][status] += 1
            await asyncio.sleep(pause_seconds)

    async def _posted(self, body: bytes) -> int:
        async with self._connected() as (reader, writer):
            writer.write(post(body))
            return (await answer(reader)).status

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> int:
        for byte in sent:
            writer.write(bytes([byte]))
            with suppress(TimeoutError):
                async with asyncio.timeout(DRIP_SECONDS):
                    return (await answer(reader)).status
        return 0

    def _abandoned(self) -> bytes:
        return notification(self._target, object_id(ABANDONED, next(self._numbers)))

    @asynccontextmanager
    async def _connected(self, *, tls: bool = True) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(
            self._target.host, self._target.port, ssl=self._trusting if tls else None
        )
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


def main() -> None:
    target, result, seconds, slow_clients = sys.argv[1:]
    strangers = Strangers(Target.read(Path(target)))
    asyncio.run(strangers.meet(float(seconds), int(slow_clients)))
    Path(result).write_text(json.dumps(strangers.met))


if __name__ == "__main__":
    main()
