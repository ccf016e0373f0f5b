"""Posts at a rate, whatever becomes of it: `python -m benchmarks.open_loop PORT RATE SECONDS CONNECTIONS FILE LENGTH`.

A request is due at its time, and its latency counts from then: who is slow is not asked less. When no connection is
free it waits for one. FILE holds the requests, each LENGTH bytes. The output is the result as JSON.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WARM_UP_SECONDS = 1.0
END_SECONDS = 15.0
"""What is not answered so long after the last request was due counts as lost."""
LOST = 0

Answer = tuple[float, int, float]
"""When the request was due, in seconds from the beginning; the status; the seconds until it was answered."""


class OpenLoop:
    """Connections that are kept alive, on one thread: a request costs it some 30 µs, which the server does not have."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._port = port
        self._requests = itertools.cycle(requests)
        self._poll = select.epoll()
        self._free: deque[socket.socket] = deque()
        self._busy: dict[int, tuple[socket.socket, float]] = {}
        self._answers: list[Answer] = []
        self._began = 0.0

    def run(self, rate: float, seconds: float, connections: int) -> list[Answer]:
        """Post for so long, and wait for what is still under way."""
        for _ in range(connections):
            self._connect()
        count, made = int(rate * seconds), 0
        waiting: deque[float] = deque()
        self._began = time.monotonic()
        while made < count or waiting or self._busy:
            now = self._now()
            if now > seconds + END_SECONDS:
                break
            while made < count and made / rate <= now:
                waiting.append(made / rate)
                made += 1
            while waiting and self._free:
                self._post(waiting.popleft())
            self._poll_for(made / rate - self._now() if made < count else 0.1)
        self._answers += [(due, LOST, END_SECONDS) for due in (*waiting, *(due for _, due in self._busy.values()))]
        return self._answers

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _connect(self) -> None:
        made = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(made, select.EPOLLIN)
        self._free.append(made)

    def _post(self, due: float) -> None:
        connection = self._free.popleft()
        self._busy[connection.fileno()] = connection, due
        request = next(self._requests)
        try:
            if connection.send(request) < len(request):
                self._end(connection, LOST)  # the server reads so slowly that its buffers are full
        except OSError:
            self._end(connection, LOST)

    def _poll_for(self, seconds: float) -> None:
        for handle, _ in self._poll.poll(max(0.0, seconds), 256):
            if handle not in self._busy:  # one that is free was closed, as the server may
                self._forget(next(one for one in self._free if one.fileno() == handle))
                continue
            connection, _ = self._busy[handle]
            try:
                answer = connection.recv(65_536)  # all of it at once: the answers are short
            except OSError:
                answer = b""
            self._end(connection, int(answer[9:12] or LOST), closes=b"\r\nconnection: close" in answer.lower())

    def _end(self, connection: socket.socket, status: int, *, closes: bool = False) -> None:
        _, due = self._busy.pop(connection.fileno())
        self._answers.append((due, status, self._now() - due))
        if status == LOST or closes:
            connection.close()
            self._connect()
        else:
            self._free.append(connection)

    def _forget(self, connection: socket.socket) -> None:
        self._free.remove(connection)
        connection.close()
        self._connect()


def as_json(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return how many were answered how, and the latencies of those after the warm-up, in milliseconds."""
    counted = [(status, took) for due, status, took in answers if due >= WARM_UP_SECONDS]
    took = sorted(seconds for _, seconds in counted)
    return {
        "statuses": Counter(str(status) for status, _ in counted),
        "p50_ms": 1000 * took[len(took) // 2],
        "p99_ms": 1000 * took[len(took) * 99 // 100],
        "longest_ms": 1000 * took[-1],
        "cpu_seconds": time.process_time(),
    }


def main() -> None:
    port, rate, seconds, connections, file, length = sys.argv[1:]
    size, content = int(length), Path(file).read_bytes()
    requests = [content[start : start + size] for start in range(0, len(content), size)]
    answers = OpenLoop(int(port), requests).run(float(rate), float(seconds), int(connections))
    print(json.dumps(as_json(answers)))


if __name__ == "__main__":
    main()
