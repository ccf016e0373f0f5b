"""Credentials that are about to expire: each warning is given once, whichever worker comes first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from common import expiry, logging
from common.clock import to_text
from common.db.engine import Database
from common.db.tables import tenants
from common.db.tenants import TenantState
from worker import results

LOOK_EVERY_SECONDS = 60.0

log = logging.get("expiry")


@dataclass(frozen=True)
class Warned:
    """A tenant whose credential expires, and which of the warnings is due."""

    tenant_id: str
    name: str
    expires_at: datetime
    days: int


class Expiries:
    """Looks at all credentials once a minute. Any number of workers may."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._look_at = time.monotonic()

    def look(self) -> None:
        """Give what warnings are due, as a line of the log and as a result.

        Raises:
            DatabaseUnavailableError: what was not told is told at a later look.
        """
        if time.monotonic() < self._look_at:
            return
        with self._database.write() as connection:
            now = self._database.now(connection)
            warned = _claimed(connection, now)
            for one in warned:
                _note(connection, one, now)
        for one in warned:
            log.warning(
                "credential_expires", tenant=one.tenant_id, expires_at=one.expires_at.isoformat(), within_days=one.days
            )
        self._look_at = time.monotonic() + LOOK_EVERY_SECONDS


def _claimed(connection: Connection, now: datetime) -> Sequence[Warned]:
    """Note the warnings that are due as given, and return them; a tenant that is paused is told when it goes on."""
    first = now + max(expiry.WARNING_DAYS) * expiry.DAY
    columns = (tenants.c.tenant_id, tenants.c.name, tenants.c.credential_expires_at, tenants.c.expiry_told_days)
    query = select(*columns).where(
        tenants.c.credential_expires_at > now,
        tenants.c.credential_expires_at <= first,
        tenants.c.state != TenantState.PAUSED,
    )
    claimed = []
    for row in connection.execute(query.with_for_update(skip_locked=True)):
        days = expiry.due_warning(row.credential_expires_at, now)
        if days is None or (row.expiry_told_days is not None and row.expiry_told_days <= days):
            continue
        connection.execute(update(tenants).where(tenants.c.tenant_id == row.tenant_id).values(expiry_told_days=days))
        claimed.append(Warned(row.tenant_id, row.name, row.credential_expires_at, days))
    return claimed


def _note(connection: Connection, one: Warned, now: datetime) -> None:
    results.note(
        connection,
        kind="warning",
        outcome="warning",
        summary=f"{one.name}: {expiry.sentence(one.expires_at, now)} {expiry.ADVICE}",
        now=now,
        tenant_id=one.tenant_id,
        tenant=one.name,
        what="credential_expires",
        expires_at=to_text(one.expires_at),
        days_left=expiry.days_left(one.expires_at, now),
    )
