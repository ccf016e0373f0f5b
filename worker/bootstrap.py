"""The composition root: what a worker process is made of, and the order in which it starts and ends."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from common import logging, topology
from common.broker.connection import process_name
from common.broker.consumer import Consumer
from common.broker.publisher import Publisher
from common.config import Settings
from common.db.engine import Database
from common.db.migrations import upgrade
from common.db.revisions import is_up_to_date
from worker.advance import Advancer
from worker.clients import Clients
from worker.commands import Commands
from worker.dispatch import Dispatch
from worker.feed import Feed
from worker.inbox import Inbox
from worker.lifecycle import Lifecycle
from worker.results import Results
from worker.schedule import Schedule
from worker.subscriptions import Reconciler
from worker.watch import Watch

PREFETCH = 1_000
ANSWER_SECONDS = 120.0
"""Longer than any statement of a turn takes; only a server that hangs is given up."""
QUEUES = (topology.REQUESTS, topology.LIFECYCLE, topology.COMMANDS)

log = logging.get("worker")


class Worker:
    """A worker process: consumer, pool of threads, timers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._database = Database.from_settings(settings, answer_seconds=ANSWER_SECONDS)
        self._publisher = Publisher(settings, "worker")
        self._consumer = Consumer(settings, "worker", QUEUES, PREFETCH)
        self._inbox = Inbox()
        self._ahead = ThreadPoolExecutor(settings.worker_threads, thread_name_prefix="ahead")
        clients = Clients(settings)
        holder = f"{process_name('worker')}#{uuid4().hex[:8]}"
        advancer = Advancer(
            settings,
            self._database,
            self._publisher,
            clients,
            holder=holder,
            has_waiting=self._inbox.has_waiting,
            stopping=self._stopping.is_set,
            executor=self._ahead,
        )
        self._dispatch = Dispatch(
            self._inbox,
            advancer,
            self._publisher,
            Commands(settings, self._database, self._publisher),
            Lifecycle(self._database, self._publisher),
        )
        reconciler = Reconciler(settings, self._database, self._publisher, clients)
        results = Results(self._database, self._publisher)
        self._schedule = Schedule(settings, self._database, self._publisher, reconciler, results)
        self._feed = Feed(self._database, self._publisher, holder) if settings.publish_events else None
        self._watch = Watch(settings, self._database, self._consumer, self._inbox)

    def run(self) -> None:
        """Work until `stop`; then end what is under way at the next page, and leave.

        Raises:
            DatabaseUnavailableError: the database cannot be brought up to date at the start.
            SettingsError: the port of the metrics is taken.
        """
        self._watch.start()
        if not is_up_to_date(self._database):
            upgrade(self._settings.database_url.get_secret_value())  # a migration may take as long as it needs
        pool = [
            threading.Thread(target=self._dispatch.work, name=f"advance-{number}")
            for number in range(self._settings.worker_threads)
        ]
        for thread in pool:
            thread.start()
        self._schedule.start()
        alive = [self._schedule.is_alive]
        if self._feed is not None:
            self._feed.start()
            alive.append(self._feed.is_alive)
        self._watch.started([*pool, threading.current_thread(), *alive])
        log.info("worker_started", threads=len(pool))
        try:
            self._consumer.run(self._dispatch.receive)
        finally:
            self.stop()
            for thread in pool:
                thread.join()
            self._ahead.shutdown(cancel_futures=True)
            self._dispatch.close()
            self._schedule.stop()
            if self._feed is not None:
                self._feed.stop()
            self._watch.stop()
            self._publisher.close()
            self._database.close()
            log.info("worker_ended")

    def stop(self) -> None:
        """Ask the worker to end soon. Safe in a signal handler."""
        self._stopping.set()
        self._watch.stopping()
        self._inbox.close()
        self._consumer.stop()
