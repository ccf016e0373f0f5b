"""What happened to whom is kept for so many days, then erased, a slice at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select

from common.config import Settings
from common.db.engine import Database
from common.db.tables import changes

SLICE = 5_000
LOOK_EVERY = timedelta(hours=1)


class Retention:
    """Erases old changes; any number of workers may."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._kept = timedelta(days=settings.changes_days)
        self._database = database
        self._look_at: datetime | None = None

    def erase(self) -> None:
        """Erase a slice of what is old, if it is time to look; as long as there is more, at each call.

        The numbers of changes grow with their times, so the oldest are looked at and no more. The latest one stays
        whatever its age: SQLite would give its number to the next change, and a consumer would ignore that.

        Raises:
            DatabaseUnavailableError: nothing was erased.
        """
        with self._database.read() as connection:
            now = self._database.now(connection)
        if self._look_at is not None and now < self._look_at:
            return
        oldest = select(changes.c.sequence, changes.c.at).order_by(changes.c.sequence).limit(SLICE).subquery()
        latest = select(func.max(changes.c.sequence)).scalar_subquery()
        old = select(oldest.c.sequence).where(oldest.c.at < now - self._kept, oldest.c.sequence != latest)
        with self._database.write() as connection:
            count = connection.execute(delete(changes).where(changes.c.sequence.in_(old))).rowcount
        if count < SLICE:
            self._look_at = now + LOOK_EVERY
