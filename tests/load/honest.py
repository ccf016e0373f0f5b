"""What Graph does, at a rate: `python -m tests.load.honest TARGET.json RESULT.json RATE SECONDS CONNECTIONS`.

A process of its own, so that it costs the webhook no time but the processor's. Each POST names an object id of its own;
the result says of each when it was sent, how it was answered (0: not at all) and after how many milliseconds.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.load.wire import HONEST, LOST, Answer, Target, answer, notification, object_id, post

NO_ANSWER = 0
BARE_503 = -503
"""A 503 that does not say when to come again."""

Posted = tuple[int, float, int, float]
"""Number, seconds since the beginning, status, milliseconds until the answer."""


class Sender:
    """One kept-alive connection, made again when it is lost."""

    def __init__(self, target: Target, trusting: ssl.SSLContext) -> None:
        self._target = target
        self._trusting = trusting
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None

    async def send(self, request: bytes) -> Answer:
        """Post once.

        Raises:
            OSError, EOFError, TimeoutError: there was no answer.
        """
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                self._target.host, self._target.port, ssl=self._trusting
            )
        assert self._reader is not None
        try:
            self._writer.write(request)
            found = await answer(self._reader)
        except LOST:
            self.close()
            raise
        if found.closes:
            self.close()
        return found

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = self._reader = None


async def post_all(target: Target, *, rate: float, seconds: float, connections: int) -> list[Posted]:
    """Post `rate` times a second; who is late goes on at once, and what is not sent at the end is left out."""
    template = post(notification(target, object_id(HONEST, 0)))
    placeholder = object_id(HONEST, 0).encode()
    trusting = target.trusting()
    numbers = itertools.count(1)
    posted: list[Posted] = []
    began = time.monotonic()

    async def drive(numbers: Iterator[int]) -> None:
        sender = Sender(target, trusting)
        for number in numbers:
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            sent_at = time.monotonic()
            if max(sent_at, due) - began >= seconds:
                break
            status = NO_ANSWER
            with suppress(*LOST):
                found = await sender.send(template.replace(placeholder, object_id(HONEST, number).encode()))
                status = BARE_503 if found.status == 503 and not found.has_retry_after else found.status
            posted.append((number, sent_at - began, status, 1000 * (time.monotonic() - sent_at)))
        sender.close()

    await asyncio.gather(*(drive(numbers) for _ in range(connections)))
    return posted


def main() -> None:
    target, result, rate, seconds, connections = sys.argv[1:]
    posted = asyncio.run(
        post_all(Target.read(Path(target)), rate=float(rate), seconds=float(seconds), connections=int(connections))
    )
    Path(result).write_text(json.dumps(posted))


if __name__ == "__main__":
    main()
