"""The feed: every change of the address book is published on the exchange `addressbook`, after its commit.

1. See which tenants have changes that are marked as unpublished.
2. Take the duty, so that one worker at a time publishes; any worker may be the next.
3. Read a batch of a tenant in the order of the sequence, and what the book says now (`worker.feed_events`).
4. Publish it and wait for the confirms, with no transaction open.
5. Take the marks away.

A crash before the last step repeats a batch, and nothing is ever skipped: the mark is set by the transaction of the
change and goes only after the confirm. All changes of one object are made under the lock of one stream, so the order of
their sequence is that of their commits; a pointer to the last one published would lose those that become visible late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from sqlalchemy import exists, select, update
from sqlalchemy.engine import RowMapping

from common import logging
from common.broker import outgoing
from common.broker.publisher import Publisher
from common.db.engine import Database
from common.db.tables import UNPUBLISHED, changes, tenants
from common.errors import BrokerUnavailableError, EntraSmsError
from worker import duties, feed_events

LOOK_SECONDS = 0.5
BATCH = 500
DUTY_SECONDS = 30.0
PUBLISH_SECONDS = 10.0
"""Much shorter than the duty: who is slow gives up before another worker begins."""

log = logging.get("feed")


class Feed:
    """A thread that publishes what there is to publish."""

    def __init__(self, database: Database, publisher: Publisher, holder: str) -> None:
        self._database = database
        self._publisher = publisher
        self._holder = holder
        self._stopping = threading.Event()
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """End the thread after its batch, and let another worker have the duty."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def publish(self) -> int:
        """Publish a batch of each tenant that has unpublished changes; return how many changes were dealt with.

        Raises:
            DatabaseUnavailableError, BrokerUnavailableError: what was not published stays marked.
        """
        count = 0
        for tenant_id in self._waiting_tenants():
            if self._stopping.is_set():
                break
            begun = time.monotonic()
            if not duties.take(self._database, duties.FEED, self._holder, DUTY_SECONDS):
                break
            count += self._publish_batch(tenant_id, begun)
        return count

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._look():
                self._stopping.wait(LOOK_SECONDS)
        self._leave()

    def _look(self) -> bool:
        """Publish; tell whether there may be more to do at once."""
        if not self._publisher.is_connected():
            return False  # the publisher says why; the database is not asked meanwhile
        try:
            count = self.publish()
        except EntraSmsError as error:
            if str(error) != self._said:  # once a trouble, not twice a second
                self._said = str(error)
                log.warning("feed_failed", error=str(error))
            if isinstance(error, BrokerUnavailableError):
                self._leave()  # another worker may reach it
            return False
        except Exception:
            log.exception("feed_failed")  # the loop's boundary: the feed must outlive any defect
            return False
        self._said = ""
        return count > 0

    def _leave(self) -> None:
        try:
            duties.leave(self._database, duties.FEED, self._holder)
        except EntraSmsError as error:
            log.debug("duty_kept", error=str(error))  # it runs out

    def _waiting_tenants(self) -> Sequence[str]:
        waits = exists().where(changes.c.tenant_id == tenants.c.tenant_id, UNPUBLISHED)
        with self._database.read() as connection:
            return list(connection.scalars(select(tenants.c.tenant_id).where(waits).order_by(tenants.c.tenant_id)))

    def _publish_batch(self, tenant_id: str, begun: float) -> int:
        rows, bodies = self._batch(tenant_id)
        if time.monotonic() - begun > DUTY_SECONDS - 2 * PUBLISH_SECONDS:
            log.warning("feed_slow", tenant=tenant_id, seconds=round(time.monotonic() - begun, 1))
            return 0  # by the time this is published, another worker may have the duty: begin again
        if bodies:
            self._publisher.publish_all([outgoing.event(body) for body in bodies], timeout_seconds=PUBLISH_SECONDS)
        with self._database.write() as connection:
            published = changes.c.sequence.in_([row["sequence"] for row in rows])
            connection.execute(update(changes).where(published).values(unpublished=None))
        return len(rows)

    def _batch(self, tenant_id: str) -> tuple[Sequence[RowMapping], list[dict[str, object]]]:
        query = select(changes).where(changes.c.tenant_id == tenant_id, UNPUBLISHED).order_by(changes.c.sequence)
        with self._database.read() as connection:
            rows = connection.execute(query.limit(BATCH)).mappings().all()
            return rows, feed_events.of_changes(connection, tenant_id, rows)
