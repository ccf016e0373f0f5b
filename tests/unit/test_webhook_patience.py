"""How long the webhook's worker is patient: with everybody the same, and less while others wait for a thread."""

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn
from structlog.testing import capture_logs

from webhook.arrival import JUDGED_BYTES_LIMIT
from webhook.group_commit import Group
from webhook.later import Awaited
from webhook.metrics import Metrics
from webhook.patience import PARTING_SECONDS, PRESSED_SECONDS, REQUEST_SECONDS, WAIT_SECONDS, PatientWorker


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


# An answer that is not known yet, and one that would come too late

POST = b"POST /graph/notifications%s HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"


class Serving(PatientWorker):
    """As far as one request needs it, without poller and pool; what the main thread is to do is in `woken`."""

    def __init__(self, application: Callable[..., Any]) -> None:
        super().__init__(1, 1, [], None, 30, Config(), None)
        self.wsgi = application
        self.tmp.close()
        self.woken: list[Callable[[], None]] = []
        self.method_queue = SimpleNamespace(defer=self.woken.append)

    def keeps(self, connection: "Connection", sent: bytes, *, waited_seconds: float = 0.0) -> bool:
        """Have a thread handle what was sent; whether the connection stays."""
        connection.client.sendall(sent)
        self.conn = TConn(self.cfg, connection.sock, ("127.0.0.1", 1), ("127.0.0.1", 2))
        self._found_at[self.conn] = time.monotonic() - waited_seconds
        return bool(self.handle(self.conn))


def said_to(connection: Connection) -> bytes:
    try:
        return connection.client.recv(65_536)
    except BlockingIOError:
        return b""


def accepting(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("202 ACCEPTED", [("Content-Length", "0")])
    return [b""]


def test_no_thread_waits_for_an_answer_that_is_not_known_yet(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = Group(datetime.now(UTC), time.monotonic() + 60)
    worker = Serving(lambda *given: Awaited(group, lambda: accepting(*given)))
    finished: list[bool] = []
    monkeypatch.setattr(
        "gunicorn.workers.gthread.ThreadWorker.finish_request", lambda _, __, done: finished.append(done.result())
    )

    assert worker.keeps(connection, POST % b"")
    worker.finish_request(worker.conn, None)  # type: ignore[arg-type]  # it is not looked at
    assert (said_to(connection), finished, worker.woken) == (b"", [], [])
    group.end(None)
    assert said_to(connection) == b""  # not by the thread that publishes
    for call in worker.woken:
        call()
    assert said_to(connection).startswith(b"HTTP/1.1 202 ")
    assert finished == [True]


def test_a_notification_that_has_waited_too_long_is_refused_and_the_connection_stays(connection: Connection) -> None:
    worker = Serving(accepting)
    worker.wsgi.extensions = {"metrics": (metrics := Metrics())}  # type: ignore[attr-defined]
    assert worker.keeps(connection, POST % b"", waited_seconds=WAIT_SECONDS + 1)
    answer = said_to(connection)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 10\r\n" in answer
    assert answer.endswith(b'\r\nContent-Length: 33\r\n\r\n{"error": "Service Unavailable"}\n')
    assert metrics.registry.get_sample_value("entra_sms_webhook_posts_total", {"outcome": "overloaded"}) == 1


@pytest.mark.parametrize(
    ("sent", "waited_seconds"),
    [
        (POST % b"", WAIT_SECONDS / 2),
        (POST % b"?validationToken=a", 60.0),
        (b"GET /health/live HTTP/1.1\r\n\r\n", 60.0),
    ],
)
def test_who_has_not_waited_long_and_who_asks_something_else_is_served(
    connection: Connection, sent: bytes, waited_seconds: float
) -> None:
    assert Serving(accepting).keeps(connection, sent, waited_seconds=waited_seconds)
    assert said_to(connection).startswith(b"HTTP/1.1 202 ")


# What needs no thread


class Alone(Serving):
    """Without a pool, and with a poller that only remembers what it was asked to watch."""

    def __init__(self, application: Callable[..., Any]) -> None:
        super().__init__(application)
        self.given_threads: list[TConn] = []
        self.tpool = SimpleNamespace(submit=self._submitted)
        self.watched: dict[socket.socket, Callable[[socket.socket], None]] = {}
        self.poller = SimpleNamespace(
            register=lambda sock, _, call: self.watched.__setitem__(sock, call), unregister=self.watched.pop
        )
        self._turn_began_at = time.monotonic()

    def _submitted(self, _handle: Any, conn: TConn) -> "Future[Any]":
        self.given_threads.append(conn)
        return Future()

    def finds(self, connection: "Connection", sent: bytes) -> None:
        """Find that something came on a connection that was there before."""
        connection.client.sendall(sent)
        self.enqueue_req(self._known(connection))

    def _known(self, connection: "Connection") -> TConn:
        self.conn = TConn(self.cfg, connection.sock, ("127.0.0.1", 1), ("127.0.0.1", 2))
        self.conn.initialized = True
        self.conn.parser = get_parser(self.cfg, connection.sock, self.conn.client)
        self.nr_conns += 1
        return self.conn


def test_a_whole_notification_is_served_without_a_thread_and_the_connection_stays(connection: Connection) -> None:
    worker = Alone(accepting)
    worker.finds(connection, POST % b"")
    assert said_to(connection).startswith(b"HTTP/1.1 202 ")
    assert (list(worker.keepalived_conns), worker.given_threads, worker._began) == ([worker.conn], [], {})


def test_of_a_notification_that_is_not_all_there_the_rest_is_awaited_without_a_thread(connection: Connection) -> None:
    worker = Alone(accepting)
    worker.finds(connection, (POST % b"")[:-1])
    assert (list(worker.pending_conns), worker.given_threads) == ([worker.conn], [])
    assert worker.conn in worker._began  # so that it is cut if the rest does not come
    connection.client.sendall(b"}")
    worker.pending_conns.clear()
    worker.enqueue_req(worker.conn)
    assert said_to(connection).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize(
    "sent",
    [
        POST % b"?validationToken=a",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        (POST % b"") + b"POST ",
        b"POST / HTTP/1.1\r\nContent-Length: 900000\r\n\r\n" + b" " * JUDGED_BYTES_LIMIT,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_anything_else_gets_a_thread(connection: Connection, sent: bytes) -> None:
    worker = Alone(accepting)
    worker.finds(connection, sent)
    assert worker.given_threads == [worker.conn]
    assert said_to(connection) == b""


def test_a_notification_that_came_late_in_a_long_turn_is_refused(connection: Connection) -> None:
    worker = Alone(accepting)
    worker.wsgi.extensions = {"metrics": Metrics()}  # type: ignore[attr-defined]
    worker._turn_began_at -= WAIT_SECONDS + 1
    worker.finds(connection, POST % b"")
    assert said_to(connection).startswith(b"HTTP/1.1 503 ")


def fill(sock: socket.socket) -> None:
    """Send until there is no room for more."""
    sock.setblocking(False)
    try:
        while True:
            sock.send(b"." * 65_536)
    except BlockingIOError:
        return


@pytest.mark.parametrize("late_seconds", [0.0, WAIT_SECONDS + 1])
def test_a_client_that_reads_no_answers_keeps_nobody_waiting(connection: Connection, late_seconds: float) -> None:
    worker = Alone(accepting)
    worker._turn_began_at -= late_seconds
    fill(connection.sock)
    with capture_logs() as said:
        worker.finds(connection, POST % b"")
    assert [line["event"] for line in said] == ["slow_client_cut"]
    assert (list(worker.keepalived_conns), worker.nr_conns) == ([], 0)


LAST_POST = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def parting(connection: Connection) -> Alone:
    """A worker that has given a client the last answer on its connection, which the client does not close."""
    worker = Alone(accepting)
    worker.finds(connection, LAST_POST)
    assert said_to(connection).startswith(b"HTTP/1.1 202 ")
    assert is_cut(connection)  # the client is told that nothing follows
    assert (list(worker.watched), worker.nr_conns) == ([connection.sock], 1)
    return worker


def test_a_client_that_closes_after_its_last_answer_is_waited_for_without_a_thread(
    connection: Connection, parting: Alone
) -> None:
    connection.client.sendall(b"more, which nobody reads")
    parting.watched[connection.sock](connection.sock)
    assert (list(parting.watched), parting.nr_conns) == ([connection.sock], 1)
    connection.client.close()
    parting.watched[connection.sock](connection.sock)
    assert (parting.watched, parting.nr_conns, connection.sock.fileno()) == ({}, 0, -1)


def test_a_client_that_never_closes_is_closed_after_a_while(connection: Connection, parting: Alone) -> None:
    parting._parting[parting.conn] -= PARTING_SECONDS - 1
    parting.murder_pending()
    assert parting.nr_conns == 1
    parting._parting[parting.conn] -= 1
    parting.murder_pending()
    assert (parting.watched, parting._parting, parting.nr_conns, connection.sock.fileno()) == ({}, {}, 0, -1)


def test_a_client_that_has_closed_before_its_last_answer_is_closed_at_once(connection: Connection) -> None:
    worker = Alone(accepting)
    connection.client.sendall(LAST_POST)
    connection.client.shutdown(socket.SHUT_WR)
    worker.enqueue_req(worker._known(connection))
    assert said_to(connection).startswith(b"HTTP/1.1 202 ")
    assert (worker.watched, worker.nr_conns, connection.sock.fileno()) == ({}, 0, -1)


def test_a_connection_that_makes_the_worker_fail_is_closed_and_no_more(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_received: bytes) -> bool:
        raise ValueError("a defect")

    monkeypatch.setattr("webhook.patience.has_arrived", fail)
    worker = Alone(accepting)
    with capture_logs() as said:
        worker.finds(connection, POST % b"")
    assert [line["event"] for line in said] == ["webhook_failed"]
    assert (worker._began, worker.nr_conns) == ({}, 0)
