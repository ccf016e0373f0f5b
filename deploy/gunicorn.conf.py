"""gunicorn's configuration of the webhook: ``gunicorn -c deploy/gunicorn.conf.py webhook.wsgi:app``.

Everything that an operator chooses is in the environment (docs/settings.md); what stands here is not a matter of taste.
"""

from __future__ import annotations

import gc
import ssl
import sys
from collections.abc import Callable
from typing import Any

import gunicorn.http.wsgi  # type: ignore[import-untyped]

from common import logging
from common.errors import SettingsError
from webhook import patience, server

try:
    _settings = server.checked_settings()
except SettingsError as error:
    sys.exit(str(error))

_log = logging.get("webhook")

gunicorn.http.wsgi.SERVER = "webhook"  # the header names the role, not the software

bind = _settings.webhook_bind
certfile = str(_settings.webhook_tls_certificate) if _settings.webhook_tls_certificate else None
keyfile = str(_settings.webhook_tls_key) if _settings.webhook_tls_key else None

_tls = server.SharedTls()  # files are read again with a SIGHUP, which makes new processes from a new configuration

worker_class = patience.PatientWorker
workers = _settings.webhook_processes
threads = _settings.webhook_threads
reuse_port = True  # without it, one process takes nearly all kept-alive connections
preload_app = False  # the publisher's thread and connection belong to one process
control_socket_disable = True  # it would lie in the home directory, shared by all instances

keepalive = 5
timeout = 30
graceful_timeout = 15  # longer than the longest request
limit_request_line = 8_190  # a validation token of 2,048 characters fits, however it is encoded
limit_request_fields = 50
limit_request_field_size = 4_096

logger_class = server.LogLines
loglevel = "debug" if _settings.log_level == "debug" else "warning"
accesslog = None
proc_name = "entra-sms-webhook"


def ssl_context(_config: Any, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    return _tls.context(make)


def on_starting(arbiter: Any) -> None:
    try:
        server.check_address_is_free(_settings)
        server.prepare_metrics(_settings)
        arbiter.metrics_socket = server.serve_metrics(_settings)
    except SettingsError as error:
        server.remove_metrics()
        sys.exit(str(error))


def when_ready(_arbiter: Any) -> None:
    _log.info("webhook_started", address=bind, tls=bool(certfile), processes=workers, threads=threads)


def post_fork(arbiter: Any, _worker: Any) -> None:
    if arbiter.metrics_socket is not None:
        arbiter.metrics_socket.close()  # the first process alone serves them, and its successor needs the port


def post_worker_init(worker: Any) -> None:
    """Connect to the broker before the first request, and so that its management pages show who is there."""
    worker.wsgi.extensions["publisher"].is_connected()
    gc.collect()
    gc.freeze()  # what is loaded stays: to look through it for garbage again and again took 50 ms each time


def child_exit(_arbiter: Any, worker: Any) -> None:
    server.forget_metrics_of(worker.pid)


def worker_exit(_arbiter: Any, worker: Any) -> None:
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["publisher"].close()


def on_exit(_arbiter: Any) -> None:
    server.remove_metrics()
    _log.info("webhook_stopped")
