"""The HTTP server of the API: threads, limits of what a client may send, and an end that cuts nobody off."""

from __future__ import annotations

import logging as levels
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from cheroot import wsgi

from common import logging
from common.config import host_and_port

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HEADER_BYTES = 16_384
"""Request line and headers together: a hundred groups are asked for in 5,000."""
BODY_BYTES = 65_536
"""No body is taken; up to this size that is answered with a problem, beyond it with a closed connection."""
CLIENT_SECONDS = 10
"""Longest wait for a client that says nothing in the middle of a request, or takes nothing of an answer."""
KEPT_ALIVE = 200

log = logging.get("api")


class ApiServer(wsgi.Server):
    """cheroot's server with our limits and our log."""

    def __init__(self, bind: str, threads: int, application: WSGIApplication) -> None:
        super().__init__(
            host_and_port(bind), application, numthreads=threads, server_name="entra-sms", timeout=CLIENT_SECONDS
        )
        self.max_request_header_size = HEADER_BYTES
        self.max_request_body_size = BODY_BYTES
        self.keep_alive_conn_limit = KEPT_ALIVE
        self.shutdown_timeout = None  # requests under way are finished; the database's own limit bounds them

    def error_log(self, msg: str = "", level: int = levels.INFO, traceback: bool = False) -> None:  # noqa: ARG002
        # What is said of a request that cannot be read may repeat a part of it: the level is all that is kept.
        if level >= levels.ERROR:
            log.error("server_failed", what=msg.partition("\n")[0][:80])


def run(server: ApiServer) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way; a second signal ends at once.

    Raises:
        OSError: it cannot listen there.
    """
    server.prepare()
    thread = threading.Thread(target=server.serve, name="api")
    with _told_to_stop() as stopping:
        thread.start()
        stopping.wait()
    server.stop()
    thread.join()


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    stopping = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
