"""Who gets a thread, and for how long: a slow client must not keep what all the others need.

A connection is read without a thread's waiting until its request is all there (`webhook.arrival`). gunicorn's own
worker gives a thread to each connection at once, and lets its client keep it for ever.
"""

from __future__ import annotations

import functools
import itertools
import selectors
import socket
import ssl
import time
from typing import Any

from gunicorn import http, sock  # type: ignore[import-untyped]
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from gunicorn.workers import gthread  # type: ignore[import-untyped]

from common import logging
from webhook.arrival import JUDGED_BYTES_LIMIT, needs_a_thread

REQUEST_SECONDS = 10.0
"""Longest time for one request, from its first byte to the end of the answer. Graph waits no longer either."""

PRESSED_SECONDS = 3.0
"""The same while others wait for a thread. A request that is all there has one for half of that, so it is never cut."""

_MALFORMED = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n"
    b'{"error": "Bad Request"}\n'
)

log = logging.get("webhook")


class PatientWorker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn is not typed
    """A threaded worker in which a request has a thread only once it is all there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._began: dict[gthread.TConn, float] = {}

    def enqueue_req(self, conn: gthread.TConn) -> None:
        """Give a connection a thread, but a new one only once its first bytes are there."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, functools.partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: gthread.TConn) -> Any:
        """Take what has arrived, and go on only when it is a whole request; else wait for more without a thread."""
        self._began.setdefault(conn, time.monotonic())
        if self._waits_for_more(conn) and self.alive:
            return gthread._DEFER  # noqa: SLF001 - how gunicorn says "wait for this connection"
        try:
            return super().handle(conn) if conn.data_ready else False
        finally:
            self._began.pop(conn, None)

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
            while not needs_a_thread(received):
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
        """Also say of whom it closes that a request had begun, and nothing more was said for some seconds."""
        now = time.monotonic()
        for conn in itertools.takewhile(lambda conn: conn.timeout <= now, self.pending_conns):
            if self._began.pop(conn, None) is not None:
                log.info("slow_client_cut")
        super().murder_pending()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what is no HTTP with a bare 400: gunicorn would explain, and log, what it was sent."""
        if isinstance(exc, ssl.SSLError):
            log.debug("connection_failed", error=type(exc).__name__)
        elif isinstance(exc, ParseException):
            log.info("malformed_request", error=type(exc).__name__)
            _answer_malformed(client)
        else:
            super().handle_error(req, client, addr, exc)


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
