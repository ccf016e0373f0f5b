"""Everything of a tenant, erased: its rows in every table, with how many there were."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Table, delete, select

from common.db.tables import metadata, streams, tenants
from common.db.tenants import lock_streams

OF_TENANTS = [
    streams,
    *(table for table in metadata.sorted_tables if "tenant_id" in table.c and table not in (streams, tenants)),
]
"""Every table with rows of tenants."""


def erase(connection: Connection, tenant_id: str) -> Mapping[str, int]:
    """Erase the tenant and every row of it; return how many rows each table had.

    The tenant is to be paused before, in a transaction of its own, so that no worker is about to write more. What one
    writes all the same goes by the foreign keys.
    """
    # First the tenant, then its streams, then the rest: the order of everybody who locks several of them. In another
    # order a worker that holds a stream and this transaction could wait for each other.
    mine = select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant_id)
    connection.execute(mine.with_for_update(key_share=True)).all()
    lock_streams(connection, tenant_id)
    erased = {table.name: _delete(connection, table, tenant_id) for table in OF_TENANTS}
    return erased | {tenants.name: _delete(connection, tenants, tenant_id)}


def _delete(connection: Connection, table: Table, tenant_id: str) -> int:
    return connection.execute(delete(table).where(table.c.tenant_id == tenant_id)).rowcount
