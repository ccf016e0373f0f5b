"""What a worker shows to those who watch it, and where: `/metrics`, `/health/live`, `/health/ready`.

Answers from its first moment on, so that a long migration is no dead worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from flask import Flask
from prometheus_client import REGISTRY, disable_created_metrics, make_wsgi_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from common import health
from common.broker.consumer import Consumer
from common.config import Settings
from common.db.engine import Database
from common.metrics_server import MetricsServer, serve
from worker import census, metrics
from worker.depths import Depths
from worker.gauges import Gauges
from worker.health import Health
from worker.inbox import Inbox
from worker.reading import Reading


class Watch:
    """The server of `ENTRA_SMS_METRICS_BIND` and what it reads; nothing of it exists where that is empty."""

    def __init__(self, settings: Settings, database: Database, consumer: Consumer, inbox: Inbox) -> None:
        self._settings = settings
        wants_subscriptions = bool(settings.public_url)
        self._census = Reading(
            "census",
            lambda: census.take(
                database, wants_subscriptions=wants_subscriptions, publishes_events=settings.publish_events
            ),
        )
        look = Depths(settings)
        self._depths = Reading("depths", look.look, close=look.close)
        self._health = Health(
            is_connected=consumer.is_connected, database_answers=lambda: self._census.latest() is not None
        )
        self._gauges = Gauges(
            census=self._census.latest,
            depths=self._depths.latest,
            is_connected=consumer.is_connected,
            waiting_requests=inbox.waiting_count,
            poll_seconds=settings.poll_seconds,
        )
        self._server: MetricsServer | None = None

    def start(self) -> None:
        """Answer from now on.

        Raises:
            SettingsError: it cannot listen there.
        """
        self._server = serve(self._settings, self._application())
        if self._server is not None:
            disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there
            metrics.prepare()
            REGISTRY.register(self._gauges)

    def started(self, threads: Sequence[threading.Thread | Callable[[], bool]]) -> None:
        """Note that everything runs and the database is up to date; each of `threads` is to live from now on."""
        self._health.started(threads)
        if self._server is not None:
            self._census.start()
            self._depths.start()

    def stopping(self) -> None:
        self._health.stopping()

    def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        REGISTRY.unregister(self._gauges)
        self._census.stop()
        self._depths.stop()

    def _application(self) -> DispatcherMiddleware:
        app = Flask("worker", static_folder=None)
        health.register(app, live=self._health.live, ready=self._health.ready)
        return DispatcherMiddleware(app, {"/metrics": make_wsgi_app()})
