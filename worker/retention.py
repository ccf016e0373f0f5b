"""What happened to whom, and when what was read, is kept for so many days, then erased, a slice at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, select

from common.config import Settings
from common.db.engine import Database
from common.db.tables import changes, rounds

SLICE = 5_000
LOOK_EVERY = timedelta(hours=1)


class Retention:
    """Erases old changes and rounds; any number of workers may."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._changes_kept = timedelta(days=settings.changes_days)
        self._rounds_kept = timedelta(days=settings.history_days)
        self._database = database
        self._look_at: datetime | None = None

    def erase(self) -> None:
        """Erase a slice of what is old, if it is time to look; as long as there is more, at each call.

        Raises:
            DatabaseUnavailableError: nothing, or only a part of it, was erased.
        """
        with self._database.read() as connection:
            now = self._database.now(connection)
        if self._look_at is not None and now < self._look_at:
            return
        counts = (self._erase_changes(now - self._changes_kept), self._erase_rounds(now - self._rounds_kept))
        if max(counts) < SLICE:
            self._look_at = now + LOOK_EVERY

    def _erase_changes(self, before: datetime) -> int:
        """Erase a slice of the changes before then; return how many there were.

        The numbers of changes grow with their times, so the oldest are looked at and no more. The latest one stays
        whatever its age: SQLite would give its number to the next change, and a consumer would ignore that.
        """
        oldest = select(changes.c.sequence, changes.c.at).order_by(changes.c.sequence).limit(SLICE).subquery()
        latest = select(func.max(changes.c.sequence)).scalar_subquery()
        old = select(oldest.c.sequence).where(oldest.c.at < before, oldest.c.sequence != latest)
        with self._database.write() as connection:
            return connection.execute(delete(changes).where(changes.c.sequence.in_(old))).rowcount

    def _erase_rounds(self, before: datetime) -> int:
        """Erase a slice of the rounds that ended before then; return how many there were.

        The latest round of each stream stays whatever its age. It tells of a stream that is not read any more, and
        so the largest number stays too: who waits for an answer waits for a round with a larger one.
        """
        later = rounds.alias()
        has_later = exists().where(
            later.c.tenant_id == rounds.c.tenant_id,
            later.c.stream == rounds.c.stream,
            later.c.round_id > rounds.c.round_id,
        )
        old = select(rounds.c.round_id).where(rounds.c.ended_at < before, has_later).limit(SLICE)
        with self._database.read() as connection:
            if connection.scalar(old.limit(1)) is None:
                return 0  # nobody who writes has to wait for a look at them all
        with self._database.write() as connection:
            return connection.execute(delete(rounds).where(rounds.c.round_id.in_(old))).rowcount
