"""The timers: streams are advanced now and then, subscriptions and credentials looked at, and what there is is told.

What is due is claimed by moving its time on, in one transaction: any number of workers share the timers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import select, update

from common import logging
from common.broker import outgoing
from common.broker.publisher import Publisher
from common.clock import utc_now
from common.config import Settings
from common.db.engine import Database
from common.db.tables import streams, tenants
from common.db.tenants import TenantState
from common.errors import BrokerUnavailableError, EntraSmsError
from common.messages import Reason, Stream, SyncRequest
from worker.expiry import Expiries
from worker.leases import StreamKey
from worker.results import Results
from worker.retention import Retention
from worker.subscriptions import Reconciler

TICK_SECONDS = 1.0
CLAIMS_A_TICK = 200
RECONCILIATIONS_AT_ONCE = 2
RECONCILIATIONS_AHEAD = 4
"""So many are claimed at most: what is claimed and waits longer than its claim lasts is claimed a second time."""
RECONCILE_CLAIM = timedelta(minutes=3)
"""Longer than any reconciliation takes: another worker looks again if this one dies over it."""

log = logging.get("schedule")


class Schedule:
    """A thread that looks each second at what is due."""

    def __init__(
        self, settings: Settings, database: Database, publisher: Publisher, reconciler: Reconciler, results: Results
    ) -> None:
        self._poll_every = timedelta(seconds=settings.poll_seconds)
        self._database = database
        self._publisher = publisher
        self._reconciler = reconciler
        self._results = results
        self._expiries = Expiries(database)
        self._retention = Retention(settings, database)
        self._reconciliations = ThreadPoolExecutor(RECONCILIATIONS_AT_ONCE, thread_name_prefix="subscriptions")
        self._under_way: list[Future[None]] = []
        self._stopping = threading.Event()
        self._said: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="schedule", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread; a reconciliation under way is finished, others wait for another worker."""
        self._stopping.set()
        self._thread.join()
        self._reconciliations.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        while not self._stopping.wait(TICK_SECONDS):
            self._tick(self._poll)
            self._tick(self._look_at_subscriptions)
            self._tick(self._expiries.look)
            self._tick(self._results.tell)
            self._tick(self._retention.erase)

    def _tick(self, task: Callable[[], None]) -> None:
        try:
            task()
        except EntraSmsError as error:
            if str(error) != self._said.get(task.__name__):  # once a trouble, not once a second
                self._said[task.__name__] = str(error)
                log.warning("tick_failed", error=str(error))
        except Exception:
            log.exception("tick_failed")  # the loop's boundary: timers must outlive any defect
        else:
            self._said.pop(task.__name__, None)

    def _poll(self) -> None:
        self._publish_polls(self._claim_polls())

    def _look_at_subscriptions(self) -> None:
        self._under_way = [one for one in self._under_way if not one.done()]
        for tenant_id in self._claim_reconciliations(RECONCILIATIONS_AHEAD - len(self._under_way)):
            self._under_way.append(self._reconciliations.submit(self._reconcile, tenant_id))

    def _reconcile(self, tenant_id: str) -> None:
        try:
            self._reconciler.reconcile(tenant_id)
        except EntraSmsError as error:
            log.warning("reconcile_failed", tenant=tenant_id, error=str(error))  # the claim runs out: tried again
        except Exception:
            log.exception("reconcile_failed", tenant=tenant_id)

    def _claim_polls(self) -> Sequence[StreamKey]:
        with self._database.write() as connection:
            now = self._database.now(connection)
            paused = select(tenants.c.tenant_id).where(tenants.c.state == TenantState.PAUSED)
            due = (
                select(streams.c.tenant_id, streams.c.stream)
                .where(streams.c.next_poll_at <= now, streams.c.tenant_id.not_in(paused))
                .order_by(streams.c.next_poll_at)
                .limit(CLAIMS_A_TICK)
                .with_for_update(skip_locked=True)
            )
            keys = [StreamKey(row.tenant_id, Stream(row.stream)) for row in connection.execute(due)]
            for key in keys:
                mine = (streams.c.tenant_id == key.tenant_id, streams.c.stream == key.stream)
                connection.execute(update(streams).where(*mine).values(next_poll_at=now + self._poll_every))
        return keys

    def _publish_polls(self, keys: Sequence[StreamKey]) -> None:
        if not keys:
            return
        requests = [SyncRequest(key.tenant_id, key.stream, Reason.POLL, utc_now()) for key in keys]
        try:
            self._publisher.publish_all([outgoing.request(request) for request in requests], timeout_seconds=10.0)
        except BrokerUnavailableError:
            self._unclaim(keys)
            raise

    def _unclaim(self, keys: Sequence[StreamKey]) -> None:
        """Nobody was asked: the streams stay due."""
        with self._database.write() as connection:
            soon = self._database.now(connection) + timedelta(seconds=5)
            for key in sorted(keys, key=lambda key: (key.tenant_id, key.stream), reverse=True):  # the people's first
                mine = (streams.c.tenant_id == key.tenant_id, streams.c.stream == key.stream)
                connection.execute(update(streams).where(*mine).values(next_poll_at=soon))

    def _claim_reconciliations(self, limit: int) -> Sequence[str]:
        if limit <= 0:
            return []
        with self._database.write() as connection:
            now = self._database.now(connection)
            due = (
                select(tenants.c.tenant_id)
                .where(tenants.c.reconcile_at <= now)
                .order_by(tenants.c.reconcile_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            claimed = list(connection.scalars(due))
            for tenant_id in claimed:
                mine = tenants.c.tenant_id == tenant_id
                connection.execute(update(tenants).where(mine).values(reconcile_at=now + RECONCILE_CLAIM))
        return claimed
