"""What `entra-sms watch` looks at: the tenants and what just happened, how many there are of all, the queues."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from common.db import tenants
from common.db.engine import Database
from common.db.tenants import Tenant
from console import condition
from console.choice import one_tenant
from console.condition import Condition
from console.connection import Installation
from console.lookout import Lookout, Seen
from console.queues import Broker, Window
from console.reads import overview, recent
from console.reads.overview import Size
from console.reads.recent import RecentRound, Tally

LOOK_SECONDS = 2.0
COUNT_SECONDS = 15.0
"""To count the people takes a read of all of them: it is done more seldom than to look at the rest."""
FAREWELL_SECONDS = 1.0


@dataclass(frozen=True)
class Picture:
    """What the database said at one moment."""

    now: datetime
    conditions: Sequence[Condition]
    rounds: Sequence[RecentRound]
    tally: Tally


class Watch:
    """Looks at one tenant, or at all, from `start` to `stop`; each part on its own, for one of them may hang."""

    def __init__(self, installation: Installation, wanted: str | None) -> None:
        self._installation = installation
        self._wanted = wanted
        self._opening = threading.Lock()
        self._window = Window(installation.settings, installation.broker_place)
        self._picture = Lookout("database", self._look, every_seconds=LOOK_SECONDS)
        self._sizes = Lookout("sizes", self._count, every_seconds=COUNT_SECONDS)
        self._broker = Lookout("broker", self._window.look, every_seconds=LOOK_SECONDS)

    def start(self) -> None:
        for lookout in (self._picture, self._sizes, self._broker):
            lookout.start()

    def stop(self) -> None:
        for lookout in (self._picture, self._sizes, self._broker):
            lookout.stop(FAREWELL_SECONDS)

    def database(self) -> Seen[Picture]:
        """Return what was seen in the database.

        Raises:
            EntraSmsError: looking on makes no sense: a setting is wrong, or nobody has the name.
        """
        return self._picture.seen()

    def broker(self) -> Seen[Broker]:
        return self._broker.seen()

    def _look(self) -> Picture:
        sizes = self._sizes.seen().picture or {}
        database = self._open_database()
        with database.read() as connection:
            found, now = self._tenants(connection), database.now(connection)
            ids = [tenant.tenant_id for tenant in found] if self._wanted is not None else None
            return Picture(
                now,
                condition.of(connection, found, now, self._installation.settings, sizes=sizes),
                recent.latest_rounds(connection, ids),
                recent.tally(connection, now, ids),
            )

    def _count(self) -> Mapping[str, Size]:
        with self._open_database().read() as connection:
            return overview.sizes_of(connection, [tenant.tenant_id for tenant in self._tenants(connection)])

    def _tenants(self, connection: Connection) -> Sequence[Tenant]:
        return tenants.find(connection, "*") if self._wanted is None else [one_tenant(connection, self._wanted)]

    def _open_database(self) -> Database:
        with self._opening:
            return self._installation.database
