"""What a worker has in hand while it advances one stream: the lease, the clients, the time, and the pen.

`rounds` and `rechecks` are what is done in a turn; `advance` begins and ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from common.config import Settings
from common.db.engine import Database
from common.db.tenants import Tenant
from common.graph.client import GraphClient
from common.graph.resources import fingerprint, tells_another_scope
from common.messages import Reason, Stream
from worker.apply_groups import apply_groups, sweep_groups
from worker.apply_users import apply_users, sweep_users
from worker.book import Writer
from worker.leases import Lease, Look, look
from worker.mapping import Item, groups_of, users_of


@dataclass
class Turn:
    """What a turn works with, and what it has seen so far.

    `began_at` is the database's time: what is asked for later is not answered by what the turn does now. `ends_at` is
    on `time.monotonic`; `somebody_waits` tells that requests for this stream have arrived meanwhile.
    Pages of a full round are fetched ahead on `executor`, if there is one.
    `notified_at` is when the webhook took the first of the notifications that the next live round answers, if any.
    """

    settings: Settings
    database: Database
    client: GraphClient
    tenant: Tenant
    lease: Lease
    reason: Reason
    began_at: datetime
    ends_at: float
    somebody_waits: Callable[[], bool]
    stopping: Callable[[], bool]
    executor: Executor | None = None
    notified_at: datetime | None = None
    shown: set[str] = field(default_factory=set)
    """Ids that the pages of this turn named."""
    has_let_go: bool = False
    """Whether the last transaction has let go of the lease: nothing was left to do."""

    def look(self) -> Look:
        """Return the stream's row and the time, proving and prolonging the lease."""
        with self.database.write() as connection:
            return look(self.database, connection, self.lease)

    def state(self) -> RowMapping:
        """Return the stream's row, proving and prolonging the lease."""
        return self.look().row

    def is_over(self) -> bool:
        return time.monotonic() >= self.ends_at or self.stopping()

    def items_of(self, entries: Sequence[dict[str, Any]]) -> list[Item]:
        """Return what entries of this stream say.

        Raises:
            BadPageError: one of them is of an unknown shape.
        """
        return users_of(entries) if self.lease.key.stream is Stream.USERS else groups_of(entries)

    def writer(self, connection: Connection, row: RowMapping, *, full: bool, reason: Reason | None = None) -> Writer:
        """Return the pen for a transaction that holds the lease; `row` is what `leases.hold` returned in it."""
        now = self.database.now(connection)
        return Writer(
            database=self.database,
            connection=connection,
            tenant_id=self.lease.key.tenant_id,
            default_region=self.tenant.default_region,
            generation=row["generation"],
            full=full,
            reason=reason or (Reason(row["full_reason"]) if full and row["full_reason"] else self.reason),
            now=now,
            recheck_at=now + timedelta(seconds=self.settings.follow_up_seconds[0]),
            removal_limit=self.tenant.removal_limit,
            hold_id=row["hold_id"],
            publishes=self.settings.publish_events,
            scope=self.tenant.scope,
            rescoping=self.is_rescoping(row),
        )

    @property
    def shape(self) -> str:
        """The fingerprint of the rows that the stream makes now."""
        return fingerprint(self.lease.key.stream, self.tenant.default_region, self.tenant.scope)

    def is_rescoping(self, row: RowMapping) -> bool:
        """Tell whether the scope was changed, and the full round that follows has not ended yet."""
        under_way = row["full_began_at"] is not None and row["full_reason"] == Reason.SCOPE_CHANGED
        return under_way or tells_another_scope(row["fingerprint"], self.shape)

    def apply(self, writer: Writer, items: Sequence[Item]) -> None:
        """Write what `items` say."""
        if self.lease.key.stream is Stream.USERS:
            apply_users(writer, items)
        else:
            apply_groups(writer, items)

    def sweep(self, writer: Writer) -> None:
        """Remove what the full round that just ended did not see."""
        if self.lease.key.stream is Stream.USERS:
            sweep_users(writer)
        else:
            sweep_groups(writer)
