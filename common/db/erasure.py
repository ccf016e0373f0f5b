"""Everything of a tenant, erased: its rows in every table, with how many there were."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Table, delete, select

from common.db.tables import metadata, streams, tenants

OF_TENANTS = [table for table in reversed(metadata.sorted_tables) if "tenant_id" in table.c and table is not tenants]
"""Every table with rows of tenants, those first that refer to others."""


def erase(connection: Connection, tenant_id: str) -> Mapping[str, int]:
    """Erase the tenant and every row of it; return how many rows each table had.

    The tenant is to be paused before, in a transaction of its own, so that no worker is about to write more. What one
    writes all the same goes by the foreign keys.
    """
    _lock(connection, tenant_id)
    erased = {table.name: _delete(connection, table, tenant_id) for table in OF_TENANTS}
    return erased | {tenants.name: _delete(connection, tenants, tenant_id)}


def _lock(connection: Connection, tenant_id: str) -> None:
    """Lock the tenant and then its streams: the order in which everybody locks both.

    Without the streams a worker that holds one of them and is about to insert rows would wait for this transaction,
    which would wait for it.
    """
    mine = select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant_id)
    connection.execute(mine.with_for_update(key_share=True)).all()
    its = select(streams.c.stream).where(streams.c.tenant_id == tenant_id).order_by(streams.c.stream)
    connection.execute(its.with_for_update()).all()


def _delete(connection: Connection, table: Table, tenant_id: str) -> int:
    return connection.execute(delete(table).where(table.c.tenant_id == tenant_id)).rowcount
