"""The small server at the side of a process, for those who watch it: metrics, and with the worker its health.

It has no TLS and no login: it listens on loopback unless told otherwise, and is never for the internet.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from common import logging
from common.config import Settings, host_and_port
from common.errors import SettingsError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

REQUEST_SECONDS = 10.0
"""Longest wait for a client that says nothing; Prometheus gives up after ten seconds, too."""

log = logging.get("metrics")


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Serves a WSGI application on a thread, from `start` until `close` or the end of the process."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, bind: str, application: WSGIApplication) -> None:
        """Listen, without answering yet.

        Raises:
            SettingsError: something listens there, or the address is not of this machine.
        """
        host, port = host_and_port(bind)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Request)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise SettingsError(f"ENTRA_SMS_METRICS_BIND: cannot listen on {host}, port {port}: {why}.") from None
        self.set_app(application)
        self._thread = threading.Thread(target=self.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()

    def server_bind(self) -> None:
        """Bind, but do not ask the DNS for our name as the library would: it may take long, and nobody needs it."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.settimeout(REQUEST_SECONDS)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature is the library's
        log.debug("watcher_lost", error=type(sys.exc_info()[1]).__name__)


class _Request(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is the library's
        """Say nothing: a scrape is no event."""


def serve(settings: Settings, application: WSGIApplication) -> MetricsServer | None:
    """Serve `application` where the settings say; None where they say nothing.

    Raises:
        SettingsError: it cannot listen there.
    """
    if not settings.metrics_bind:
        return None
    server = MetricsServer(settings.metrics_bind, application)
    server.start()
    return server
