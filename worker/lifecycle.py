"""What Graph says of a subscription: renew it, or make a new one and read what was missed.

For users and groups Graph promises only `reauthorizationRequired`; nothing here is relied upon (the poll and the
reconciler are), but everything it says is acted on. Source: Microsoft, change notifications lifecycle events.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, update

from common import logging
from common.broker import outgoing
from common.broker.publisher import Publisher
from common.db.engine import Database
from common.db.tables import subscriptions, tenants
from common.messages import LifecycleEvent, LifecycleNotice, Mode, Reason, SyncRequest

RENEWAL_PAUSE = timedelta(minutes=10)
"""Graph wants no two renewals of a subscription within ten minutes."""

log = logging.get("lifecycle")


class Lifecycle:
    """Acts on lifecycle notices."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher

    def take_note(self, notice: LifecycleNotice) -> None:
        """Make the subscriptions due for the reconciler, and ask for a full round where notifications were lost.

        Raises:
            RetryLaterError: database or broker are away.
        """
        log.info("lifecycle", tenant=notice.tenant_id, stream=notice.stream, notice=notice.event)
        with self._database.write() as connection:
            now = self._database.now(connection)
            mine = (
                subscriptions.c.tenant_id == notice.tenant_id,
                subscriptions.c.subscription_id == notice.subscription_id,
            )
            if notice.event is LifecycleEvent.REAUTHORIZATION_REQUIRED:
                # One PATCH renews and reauthorises; the notice is repeated, so an early one may be left out.
                rested = subscriptions.c.renewed_at < now - RENEWAL_PAUSE
                connection.execute(update(subscriptions).where(*mine, rested).values(renew_at=now))
            if notice.event is LifecycleEvent.SUBSCRIPTION_REMOVED:
                connection.execute(delete(subscriptions).where(*mine))
            connection.execute(update(tenants).where(tenants.c.tenant_id == notice.tenant_id).values(reconcile_at=now))
        if notice.event is not LifecycleEvent.REAUTHORIZATION_REQUIRED:
            request = SyncRequest(notice.tenant_id, notice.stream, Reason.MISSED, now, mode=Mode.FULL)
            self._publisher.publish(outgoing.request(request), timeout_seconds=10.0)
