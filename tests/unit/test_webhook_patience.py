"""How long the webhook's worker is patient: with everybody the same, and less while others wait for a thread."""

import socket
import time
from collections import deque
from collections.abc import Iterator
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from webhook.patience import PRESSED_SECONDS, REQUEST_SECONDS, PatientWorker


class Worker(PatientWorker):
    """As far as its patience needs it: nobody kept alive, and a pool with a queue."""

    def __init__(self) -> None:
        self._began = {}
        self.keepalived_conns = deque()
        self.tpool = SimpleNamespace(_work_queue=SimpleQueue())


class Connection:
    """What the worker holds of a client, and the client."""

    def __init__(self) -> None:
        self.sock, self.client = socket.socketpair()
        self.client.setblocking(False)


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection()
    with made.sock, made.client:
        yield made


def is_cut(connection: Connection) -> bool:
    try:
        return bool(connection.client.recv(1) == b"")
    except BlockingIOError:
        return False


@pytest.mark.parametrize("waiting", [0, 1])
def test_who_takes_too_long_is_cut_and_sooner_while_others_wait(connection: Connection, waiting: int) -> None:
    worker = Worker()
    for _ in range(waiting):
        worker.tpool._work_queue.put("a connection")
    limit_seconds = PRESSED_SECONDS if waiting else REQUEST_SECONDS
    worker._began[connection] = time.monotonic() - limit_seconds + 2
    worker.murder_keepalived()
    assert not is_cut(connection)
    worker._began[connection] = time.monotonic() - limit_seconds
    worker.murder_keepalived()
    assert is_cut(connection)
