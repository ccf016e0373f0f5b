"""Who is served when, by which thread, and for how long: a slow client must not keep what all the others need.

A connection is read without a thread's waiting until its request is all there (`webhook.arrival`). gunicorn's own
worker gives a thread to each connection at once, and lets its client keep it for ever. And no thread waits for
RabbitMQ: an answer that is not known yet (`webhook.later`) is sent when it is.

So nothing in a notification waits, and the thread that waits for all connections serves it itself. With a thread of
the pool for each, up to sixteen took turns at the interpreter, 5 ms each, and that one, which reads and answers, came
late among them. The pool has what takes long: the TLS of a new connection, large bodies, what cannot be judged.
"""

from __future__ import annotations

import functools
import itertools
import math
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from gunicorn import http, sock  # type: ignore[import-untyped]
from gunicorn.http import wsgi  # type: ignore[import-untyped]
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from gunicorn.workers import gthread  # type: ignore[import-untyped]

from common import logging
from webhook.arrival import JUDGED_BYTES_LIMIT, has_arrived, is_notification

if TYPE_CHECKING:
    from webhook.later import Awaited  # with it come the metrics, which must not be imported before the fork

REQUEST_SECONDS = 10.0
"""Longest time for one request, from its first byte to the end of the answer. Graph waits no longer either."""

PRESSED_SECONDS = 3.0
"""The same while others wait for a thread. A request that is all there has one for half of that, so it is never cut."""

WAIT_SECONDS = 0.1
"""A notification that has waited for longer until its turn comes is refused, which costs little."""

PARTING_SECONDS = 2.0
"""So long a client has to close its end after the last answer of a connection."""

_MALFORMED = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n"
    b'{"error": "Bad Request"}\n'
)

_OVERLOADED = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: webhook\r\nRetry-After: 10\r\nContent-Type: application/json\r\n"
    b'Content-Length: 33\r\n\r\n{"error": "Service Unavailable"}\n'
)
OVERLOADED_LOG_SECONDS = 1.0
"""It is said no more often; the metric counts each."""

log = logging.get("webhook")


class PatientWorker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """A worker that serves a request only once it is all there, and a notification without a thread of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._began: dict[gthread.TConn, float] = {}
        self._awaited: dict[gthread.TConn, tuple[wsgi.Response, Awaited]] = {}
        self._served_here: Any = None
        """The connection that the thread that waits for nobody serves right now, and must not wait for."""
        self._parting: dict[gthread.TConn, float] = {}
        """Connections that have had their last answer, in that order, and when they are closed at the latest."""
        self._calls: deque[Callable[[], None]] = deque()
        self._is_called = False
        self._turn_began_at = 0.0
        self._found_at: dict[gthread.TConn, float] = {}
        self._said_overloaded_at = -math.inf

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """As gunicorn's, but remember since when those have waited that come late in a long turn."""
        events = self.poller.select(timeout)
        self._turn_began_at = time.monotonic()
        for key, _ in events:
            key.data(key.fileobj)

    def enqueue_req(self, conn: gthread.TConn) -> None:
        """Serve a connection on which there is something to read; a new one only once its first bytes are there."""
        if conn.initialized:
            self._serve(conn)
        elif conn.data_ready:
            self._give_a_thread(conn)
        else:
            conn.sock.setblocking(False)
            conn.set_timeout()
            self.pending_conns.append(conn)
            readable = functools.partial(self.on_pending_socket_readable, conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, readable)

    def _serve(self, conn: gthread.TConn) -> None:
        """Serve a whole notification here and now; wait for more if it is not all there; else give it a thread."""
        done: Future[Any] = Future()
        self._began.setdefault(conn, time.monotonic())
        try:
            waits = self._waits_for_more(conn)
            if not waits and conn.data_ready and not is_notification(conn.parser.unreader.buf.getvalue()):
                self._give_a_thread(conn)
                return
            self._served_here = conn
            done.set_result(self._handled(conn, waits, time.monotonic() - self._turn_began_at))
        except Exception as error:  # as in a thread of the pool: this connection is closed, and the others go on
            log.exception("webhook_failed")
            self._began.pop(conn, None)
            done.set_exception(error)
        finally:
            self._served_here = None
        self.finish_request(conn, done)

    def _give_a_thread(self, conn: gthread.TConn) -> None:
        self._found_at[conn] = self._turn_began_at
        handled = self.tpool.submit(self.handle, conn)
        handled.add_done_callback(lambda done: self._call_soon(functools.partial(self.finish_request, conn, done)))

    def handle(self, conn: gthread.TConn) -> Any:
        """Take what has arrived, on a thread of the pool."""
        now = time.monotonic()
        waited_seconds = now - self._found_at.pop(conn, now)
        self._began.setdefault(conn, now)
        return self._handled(conn, self._waits_for_more(conn), waited_seconds)

    def _handled(self, conn: gthread.TConn, waits: bool, waited_seconds: float) -> Any:
        """Go on only when there is a whole request; else have the connection wait for more without a thread."""
        if waits and self.alive:
            return gthread._DEFER  # noqa: SLF001 - how gunicorn says "wait for this connection"
        try:
            if not conn.data_ready:
                return False
            if waited_seconds > WAIT_SECONDS and is_notification(conn.parser.unreader.buf.getvalue()):
                return self._refuse(conn)
            return super().handle(conn)
        finally:
            self._began.pop(conn, None)

    def _refuse(self, conn: gthread.TConn) -> bool:
        """Answer a notification with 503, unread: Graph sends it again; tell whether the connection stays."""
        conn.parser.unreader.take_buffered()
        conn.sock.settimeout(0 if self._served_here is conn else PRESSED_SECONDS)
        try:
            conn.sock.sendall(_OVERLOADED)
        except OSError:
            _cut(conn)
            return False
        self.wsgi.extensions["metrics"].posts.labels("overloaded").inc()
        now = time.monotonic()
        if now > self._said_overloaded_at + OVERLOADED_LOG_SECONDS:
            self._said_overloaded_at = now
            log.warning("overloaded")
        return True

    def handle_request(self, req: Any, conn: gthread.TConn) -> bool:
        """Answer, or note the answer that is not known yet; tell whether the connection stays."""
        response, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg)
        environ["wsgi.multithread"] = True
        if not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            response.force_close()
        answer = self.wsgi(environ, response.start_response)
        if hasattr(answer, "when_known"):
            self._awaited[conn] = response, answer
            return True
        if self._served_here is conn:
            conn.sock.setblocking(False)
            return _sent_at_once(conn, response, answer)
        return _send(response, answer)

    def finish_request(self, conn: gthread.TConn, fs: Future[Any]) -> None:
        """Go on with a connection that has its answer; who waits for one is held until it is known."""
        if conn not in self._awaited:
            self._go_on(conn, fs)
        elif not self._awaited[conn][1].when_known(lambda: self._call_soon(functools.partial(self._answer, conn))):
            self._answer(conn)

    def _call_soon(self, call: Callable[[], None]) -> None:
        """Have `call` called by the thread that waits for nobody, which is woken once for all that come together.

        gunicorn's own way wakes it for each, and lets it carry out some sixty only before it looks for requests again.
        """
        self._calls.append(call)
        if not self._is_called:
            self._is_called = True
            self.method_queue.defer(self._carry_out)

    def _carry_out(self) -> None:
        self._is_called = False  # first: whoever comes from here on calls again
        while self._calls:
            self._calls.popleft()()

    def _answer(self, conn: gthread.TConn) -> None:
        """Send an answer that is known now, on the thread that waits for nobody."""
        response, answer = self._awaited.pop(conn)
        done: Future[bool] = Future()
        try:
            conn.sock.setblocking(False)
            done.set_result(_sent_at_once(conn, response, answer))
        except Exception:
            log.exception("webhook_failed")  # and the others are answered all the same
            done.set_result(False)
        self._go_on(conn, done)

    def _go_on(self, conn: gthread.TConn, done: Future[Any]) -> None:
        """Wait for the next request of a connection that stays; part with one that does not."""
        if done.exception() is None and not done.result():
            self._part(conn)
        else:
            super().finish_request(conn, done)

    def _part(self, conn: gthread.TConn) -> None:
        """Say that nothing follows, and close when the client has closed, but wait for that without a thread.

        Closed at once, the kernel would take the answer back if there is anything that was not read (RFC 9112, section
        9.6). gunicorn waits with the thread that all the others need: two seconds for each client that keeps silent.
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
        except OSError:  # it ended by itself
            self._close(conn)
            return
        if self._has_more(conn):
            self._parting[conn] = time.monotonic() + PARTING_SECONDS
            go_on = functools.partial(self._on_parting_readable, conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, go_on)
        else:
            self._close(conn)

    def _on_parting_readable(self, conn: gthread.TConn, _sock: socket.socket) -> None:
        if not self._has_more(conn):
            self._close(conn)

    def _has_more(self, conn: gthread.TConn) -> bool:
        """Throw away what came after the last answer; tell whether the client may send more."""
        try:
            return bool(conn.sock.recv(JUDGED_BYTES_LIMIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _close(self, conn: gthread.TConn) -> None:
        if self._parting.pop(conn, None) is not None:
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def _waits_for_more(self, conn: gthread.TConn) -> bool:
        """Read what there is; `data_ready` tells whether it is a whole request."""
        conn.data_ready = False
        try:
            conn.data_ready = self._has_arrived(conn)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError as error:  # TLS that is none, among others
            log.debug("connection_failed", error=type(error).__name__)
        return False

    def _has_arrived(self, conn: gthread.TConn) -> bool:
        """Return True for a whole request, False when the client has gone.

        Raises:
            OSError: more has to come first, or the connection is broken.
        """
        conn.sock.setblocking(False)
        if not conn.initialized:
            if self.cfg.is_ssl:
                conn.sock = sock.ssl_wrap_socket(conn.sock, self.cfg)
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
            conn.initialized = True
        unreader = conn.parser.unreader
        received = bytearray(unreader.take_buffered())
        try:
            if self.cfg.is_ssl:
                conn.sock.do_handshake()  # at once when it is over already
            while not has_arrived(received):
                piece = conn.sock.recv(JUDGED_BYTES_LIMIT)
                if not piece:
                    return False
                received += piece
        finally:
            unreader.unread(bytes(received))
        return True

    def murder_keepalived(self, force: bool = False) -> None:
        """Also cut the requests that take too long; gunicorn calls this at least once a second."""
        super().murder_keepalived(force)
        somebody_waits = self.tpool._work_queue.qsize() > 0  # noqa: SLF001 - the pool tells nobody otherwise
        overdue = time.monotonic() - (PRESSED_SECONDS if somebody_waits else REQUEST_SECONDS)
        for conn, began in list(self._began.items()):
            if began < overdue:
                self._began.pop(conn, None)
                _cut(conn)

    def murder_pending(self) -> None:
        """Also say of whom it closes that a request had begun; and close who did not do so after the last answer."""
        now = time.monotonic()
        for conn in itertools.takewhile(lambda conn: conn.timeout <= now, self.pending_conns):
            if self._began.pop(conn, None) is not None:
                log.info("slow_client_cut")
        super().murder_pending()
        for conn in list(itertools.takewhile(lambda conn: self._parting[conn] <= now, self._parting)):
            self._close(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what is no HTTP with a bare 400: gunicorn would explain, and log, what it was sent."""
        if isinstance(exc, ssl.SSLError):
            log.debug("connection_failed", error=type(exc).__name__)
        elif isinstance(exc, ParseException):
            log.info("malformed_request", error=type(exc).__name__)
            _answer_malformed(client)
        else:
            super().handle_error(req, client, addr, exc)


def _send(response: wsgi.Response, answer: Iterable[bytes]) -> bool:
    """Send an answer; tell whether the connection stays."""
    try:
        for piece in answer:
            response.write(piece)
        response.close()
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return not response.should_close()


def _sent_at_once(conn: gthread.TConn, response: wsgi.Response, answer: Iterable[bytes]) -> bool:
    """Send an answer without waiting; a client that reads none, and so has no room for it, is cut."""
    try:
        return _send(response, answer)
    except OSError:
        _cut(conn)  # else gunicorn would wait for two seconds until it reads
        return False


def _cut(conn: gthread.TConn) -> None:
    """End both directions; the thread that waits for this client sees the end of the connection."""
    try:
        # Not SSLSocket.shutdown: that one takes the TLS state away from under the thread that reads.
        socket.socket.shutdown(conn.sock, socket.SHUT_RDWR)
    except OSError:
        return  # it ended by itself
    log.info("slow_client_cut")


def _answer_malformed(client: socket.socket) -> None:
    try:
        client.sendall(_MALFORMED)
    except OSError:
        return  # nobody is there any more
