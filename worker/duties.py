"""Duties: what one worker at a time does for the whole installation, by a lease on the database's clock."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, or_

from common.db.engine import Database
from common.db.tables import duties

FEED = "feed"
"""Publishing the events of the address book."""


def take(database: Database, duty: str, holder: str, seconds: float) -> bool:
    """Take the duty, or keep it, for so long from now; return whether `holder` has it."""
    with database.write() as connection:
        now = database.now(connection)
        taken = database.insert(duties).values(duty=duty, holder=holder, held_until=now + timedelta(seconds=seconds))
        mine_or_free = or_(duties.c.holder == holder, duties.c.held_until <= now)
        values = {"holder": taken.excluded.holder, "held_until": taken.excluded.held_until}
        kept = taken.on_conflict_do_update(index_elements=[duties.c.duty], set_=values, where=mine_or_free)
        return connection.execute(kept.returning(duties.c.duty)).one_or_none() is not None


def leave(database: Database, duty: str, holder: str) -> None:
    """Let another worker have the duty at once, if `holder` has it."""
    with database.write() as connection:
        connection.execute(delete(duties).where(duties.c.duty == duty, duties.c.holder == holder))
