"""Leases for tests: taken in a transaction of their own."""

from common.db.engine import Database
from worker import leases
from worker.leases import NOTHING, Lease, StreamKey, Wishes


def acquire(
    database: Database, key: StreamKey, holder: str, seconds: float = 60.0, wishes: Wishes = NOTHING
) -> Lease | None:
    with database.write() as connection:
        return leases.acquire(database, connection, key, holder, seconds, wishes)
