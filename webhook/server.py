"""gunicorn as the webhook needs it: what it checks before it starts, its TLS, its log, its metrics.

`deploy/gunicorn.conf.py` wires this in. Nothing here is part of the application.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from common import logging
from common.broker import connection as broker_connection
from common.config import Settings, load
from common.errors import SettingsError
from common.listening import check_is_free
from common.metrics_server import serve

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def checked_settings() -> Settings:
    """Return settings that the webhook can work with.

    Raises:
        SettingsError: they cannot work; better said once here than by each process again and again.
    """
    settings = load()
    settings.require_secret_key()
    broker_connection.parameters(settings, "webhook")
    _check_certificate(settings)
    return settings


def check_address_is_free(settings: Settings) -> None:
    """Refuse to share the port: the processes bind with SO_REUSEPORT, which would let a forgotten webhook go on.

    Raises:
        SettingsError: something listens there, or the address is not of this machine.
    """
    check_is_free(settings.webhook_bind, "ENTRA_SMS_WEBHOOK_BIND")


def _check_certificate(settings: Settings) -> None:
    if settings.webhook_tls_certificate is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An empty password makes an encrypted key fail; without it, OpenSSL would ask on the terminal.
        context.load_cert_chain(settings.webhook_tls_certificate, settings.webhook_tls_key, password="")
    except (OSError, ValueError) as error:
        raise SettingsError(
            "ENTRA_SMS_WEBHOOK_TLS_CERTIFICATE and ENTRA_SMS_WEBHOOK_TLS_KEY cannot be used together "
            f"({type(error).__name__}): both must be PEM, the key unencrypted and the certificate's own."
        ) from None


class SharedTls:
    """The TLS context of a process: gunicorn itself would read certificate and key anew for each connection."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None

    def context(self, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """Return the context, made at the first connection, so after the fork."""
        if self._context is None:
            self._context = make()
        return self._context


class LogLines(Logger):  # type: ignore[misc]  # gunicorn is not typed
    """gunicorn's own messages, as log lines of ours. There is no access log: queries hold validation tokens."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        logging.configure(load(), "webhook")
        self.error_log.handlers = []
        self.error_log.propagate = True


def prepare_metrics(settings: Settings) -> None:
    """Give the processes a private directory to count in; before anything imports `prometheus_client`."""
    if settings.metrics_bind:
        os.environ[MULTIPROCESS_VARIABLE] = tempfile.mkdtemp(prefix="entra-sms-webhook-")


def serve_metrics(settings: Settings) -> socket.socket | None:
    """Serve the sum of all processes from this one, and return the socket that listens.

    Raises:
        SettingsError: the port is taken.
    """
    if not settings.metrics_bind:
        return None
    # prometheus_client decides when it is imported whether it counts for many processes.
    from prometheus_client import CollectorRegistry, make_wsgi_app  # noqa: PLC0415
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # untyped there
    server = serve(settings, make_wsgi_app(registry))
    return server.socket if server else None


def forget_metrics_of(pid: int) -> None:
    """Note that a process has ended; what it counted stays counted."""
    if MULTIPROCESS_VARIABLE in os.environ:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - see serve_metrics

        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # untyped there


def remove_metrics() -> None:
    directory = os.environ.pop(MULTIPROCESS_VARIABLE, "")
    if directory:
        shutil.rmtree(directory, ignore_errors=True)
