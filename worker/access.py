"""A tenant whose access fails is told once, asked slowly, and comes back by itself; commands have it proven."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, true, update

from common import logging
from common.db.engine import Database
from common.db.tables import streams, tenants
from common.db.tenants import Tenant, TenantState, lock_streams, make_due
from common.errors import AccessError, EntraSmsError, SettingsError
from common.graph.access import check_access
from common.graph.client import GraphClient
from worker import ledger, results
from worker.ledger import Part

SLOW_POLL = timedelta(minutes=15)

EXPIRED = frozenset({"AADSTS7000222", "AADSTS1000502"})
"""How Entra refuses a client secret and a certificate that have expired."""

log = logging.get("access")


def note_failed(database: Database, tenant: Tenant, error: EntraSmsError) -> None:
    """Say what is wrong with the tenant's access, once; from now on it is polled slowly.

    What was refused are the credentials in `tenant`: if others have been saved meanwhile, nothing is known of those.
    """
    code = error.code if isinstance(error, AccessError) else "credential"
    refused = and_(
        tenants.c.tenant_id == tenant.tenant_id,
        tenants.c.client_id == tenant.client_id,
        tenants.c.credential == tenant.sealed_credential,
        tenants.c.cloud.is_not_distinct_from(tenant.cloud),
    )
    with database.write() as connection:
        now = database.now(connection)
        values = {"state": TenantState.ACCESS_FAILED, "state_code": code, "state_reason": str(error)}
        active = tenants.c.state == TenantState.ACTIVE
        fresh = connection.execute(update(tenants).where(refused, active).values(**values, state_since=now)).rowcount
        if code in EXPIRED:
            _note_expired(connection, refused, now)
        known = and_(refused, tenants.c.state == TenantState.ACCESS_FAILED)
        if not fresh and not connection.execute(update(tenants).where(known).values(values)).rowcount:
            return
        lock_streams(connection, tenant.tenant_id)
        connection.execute(
            update(streams).where(streams.c.tenant_id == tenant.tenant_id).values(next_poll_at=now + SLOW_POLL)
        )
        if fresh:
            _tell(connection, tenant, "access_failed", f"{tenant.name}: its access failed. {error}", now)
    if fresh:
        log.error("access_failed", tenant=tenant.tenant_id, code=code, reason=str(error))


def _note_expired(connection: Connection, refused: ColumnElement[bool], now: datetime) -> None:
    """Entra knows better than whoever noted a later day, or none: it has expired, now at the latest."""
    later = or_(tenants.c.credential_expires_at.is_(None), tenants.c.credential_expires_at > now)
    connection.execute(update(tenants).where(refused, later).values(credential_expires_at=now))


def note_recovered(database: Database, tenant: Tenant, *, proven: bool = False) -> None:
    """The access works again: back to normal, and a look at the subscriptions, which may have lapsed.

    Unless all of it is `proven`, a stream that still fails speaks against it: one permission of several may be missing.
    """
    failing = exists().where(streams.c.tenant_id == tenant.tenant_id, streams.c.failures > 0)
    mine = (tenants.c.tenant_id == tenant.tenant_id, tenants.c.state == TenantState.ACCESS_FAILED)
    with database.write() as connection:
        now = database.now(connection)
        recovered = connection.execute(
            update(tenants)
            .where(*mine, true() if proven else ~failing)
            .values(state=TenantState.ACTIVE, state_code=None, state_reason=None, state_since=now, reconcile_at=now)
        ).rowcount
        if recovered:
            make_due(connection, tenant.tenant_id, now)
            _tell(connection, tenant, "access_recovered", f"{tenant.name}: its access works again.", now)
    if recovered:
        log.info("access_recovered", tenant=tenant.tenant_id)


def _tell(connection: Connection, tenant: Tenant, what: str, summary: str, now: datetime) -> None:
    results.note(
        connection,
        kind="warning",
        outcome="warning" if what == "access_failed" else "done",
        summary=summary,
        now=now,
        tenant_id=tenant.tenant_id,
        tenant=tenant.name,
        what=what,
    )


def prove_access(
    database: Database, client_of: Callable[[Tenant], GraphClient], tenant: Tenant, asked: Sequence[str]
) -> None:
    """Try the sign-in and each permission, and answer the commands that asked for it; a working access is noted."""
    error, note = None, None
    try:
        proofs = check_access(client_of(tenant))
    except EntraSmsError as trouble:
        error = str(trouble)
        if isinstance(trouble, AccessError | SettingsError):
            note_failed(database, tenant, trouble)
    else:
        error = " ".join(proof.trouble for proof in proofs if proof.trouble) or None
        note = f"The access works: {', '.join(proof.permission for proof in proofs)}."
        if error is None:
            note_recovered(database, tenant, proven=True)
    with database.write() as connection:
        now = database.now(connection)
        ledger.answer(connection, asked, tenant.tenant_id, Part.ACCESS, now, error=error, note=None if error else note)
