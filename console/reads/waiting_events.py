"""Changes that wait to be published as events."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from common.db.tables import UNPUBLISHED, changes


@dataclass(frozen=True)
class WaitingEvents:
    """How many changes of a tenant wait, and since when the first of them."""

    count: int
    since: datetime


def by_tenant(connection: Connection, tenant_ids: Collection[str]) -> Mapping[str, WaitingEvents]:
    """Return what waits of each of the tenants of which anything does."""
    query = (
        select(changes.c.tenant_id, func.count().label("waiting"), func.min(changes.c.at).label("since"))
        .where(changes.c.tenant_id.in_(tenant_ids), UNPUBLISHED)
        .group_by(changes.c.tenant_id)
    )
    return {row.tenant_id: WaitingEvents(row.waiting, row.since) for row in connection.execute(query)}
