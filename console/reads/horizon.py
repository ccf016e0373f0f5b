"""Up to which number the feed of changes is complete: no change will appear among those up to it any more.

In PostgreSQL a change may become visible after others with higher numbers. Whoever reads on after the highest number he
saw would never see it, so only what lies before the horizon is told.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, func, select, text

from common.db.engine import Database
from common.db.tables import changes

LATE = timedelta(minutes=5)
"""No transaction of a worker takes that long: what lies before a change of that age is complete."""
LOOKED_AT = 5_000
PATIENCE_SECONDS = 2.0
_LOOK_SECONDS = 0.02
_TRANSACTIONS = "SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text FROM pg_current_snapshot() AS s"


@dataclass(frozen=True)
class _Noted:
    """All numbers up to `number` belong to transactions before `transaction`: a worker writes before it numbers."""

    number: int
    transaction: int


class Horizon:
    """Finds the horizon, and remembers it between calls; any number of threads may share one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._complete = 0
        self._noted: _Noted | None = None

    def find(self, connection: Connection, after: int | None = None) -> int:
        """Return a number up to which the changes after number `after`, or the latest ones, are complete.

        It follows the transactions that are under way. While one of them stays open the horizon goes up to the first
        number that is missing, and for the first call of all it is waited for a moment.
        """
        if self._database.is_sqlite:
            return _highest(connection)  # one transaction writes at a time
        highest = self._look(connection)
        until = time.monotonic() + PATIENCE_SECONDS
        while self._complete == 0 < highest and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            self._look(connection)
        begin = max(self._complete, highest - LOOKED_AT if after is None else after)
        return self._without_gaps(connection, begin)

    def _look(self, connection: Connection) -> int:
        """Note how far the feed goes, and what has ended since that was noted last; return the highest number."""
        # Two statements, hence in this order: of what is visible now the numbers were drawn before the transactions.
        highest = _highest(connection)
        oldest, following = map(int, connection.execute(text(_TRANSACTIONS)).one())
        with self._lock:
            if highest < self._complete:  # the database is another one, restored from a backup
                self._complete, self._noted = 0, None
            if self._noted is None:
                self._noted = _Noted(highest, following)
            if oldest >= self._noted.transaction:
                self._complete, self._noted = max(self._complete, self._noted.number), None
        return highest

    def _without_gaps(self, connection: Connection, begin: int) -> int:
        """Return the last number before the first one after `begin` that is missing and may still appear."""
        later = select(changes.c.sequence, changes.c.at).where(changes.c.sequence > begin)
        last = begin
        for sequence, at in connection.execute(later.order_by(changes.c.sequence).limit(LOOKED_AT)):
            if sequence > last + 1 and at > self._database.now(connection) - LATE:
                break
            last = sequence
        return last


def _highest(connection: Connection) -> int:
    return int(connection.scalar(select(func.max(changes.c.sequence))) or 0)
