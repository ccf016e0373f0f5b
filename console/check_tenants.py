"""The tenants: does their access work, permission by permission, how long yet, and does Graph notify of changes?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select

from common import expiry
from common.clock import utc_now
from common.cloud import Cloud
from common.config import Settings
from common.db import tables, tenants
from common.db.tenants import Tenant, TenantState
from common.errors import AccessError, EntraSmsError, RetryLaterError, SettingsError
from common.graph.access import check_access
from common.graph.client import GraphClient
from console import check_database, check_subscriptions, output, times
from console.access import where_to_look
from console.choice import one_tenant
from console.exits import Exit, code_of
from console.finding import Finding, Verdict, fine, of_error, skipped, trouble, warning
from console.reads.overview import SubscriptionRow, subscriptions_of

Client = Callable[[Tenant], GraphClient]


@dataclass(frozen=True)
class Known:
    """What the database knows of a tenant."""

    tenant: Tenant
    subscriptions: Sequence[SubscriptionRow]
    subscription_trouble: str | None


def known(settings: Settings, wanted: str | None) -> list[Known]:
    """Read the tenant that is meant, or all of them.

    Raises:
        ConsoleError: no tenant is called so.
        DatabaseUnavailableError: the database cannot be read.
    """
    with check_database.opened(settings) as database, database.read() as connection:
        found = tenants.find(connection, "*") if wanted is None else [one_tenant(connection, wanted)]
        return [_known(connection, tenant) for tenant in found]


def _known(connection: Connection, tenant: Tenant) -> Known:
    mine = tables.tenants.c.tenant_id == tenant.tenant_id
    trouble_of = select(tables.tenants.c.subscription_trouble).where(mine)
    return Known(
        tenant, subscriptions_of(connection, tenant.tenant_id), connection.execute(trouble_of).scalar_one_or_none()
    )


def clouds(settings: Settings, tenants_known: Sequence[Known]) -> list[Cloud]:
    """Return the clouds that tenants are read from; without tenants the one of the settings."""
    names = {one.tenant.cloud for one in tenants_known if one.tenant.state is not TenantState.PAUSED} or {None}
    found = []
    for name in sorted(names, key=lambda name: name or ""):
        with suppress(SettingsError):  # told of the tenant that wants it
            found.append(settings.cloud(name))
    return found


def look(one: Known, settings: Settings, client: Client) -> Iterator[Finding]:
    """Yield what there is to say of one tenant; `client` makes Graph as a tenant."""
    for finding in _look(one, settings, client):
        yield replace(finding, tenant_id=one.tenant.tenant_id)


def _look(one: Known, settings: Settings, client: Client) -> Iterator[Finding]:
    tenant = one.tenant
    if tenant.state is TenantState.PAUSED:
        reason = f": {output.shown(tenant.state_reason)}" if tenant.state_reason else ""
        since = times.moment(tenant.state_since)
        yield skipped("tenant.state", f"It is paused since {since}{reason}. Nothing of it was read.")
        return
    try:
        graph = client(tenant)
    except SettingsError as error:
        yield of_error("tenant.credential", error)
        return
    access = list(_access(graph, settings))
    yield from access
    works = all(finding.verdict is Verdict.FINE for finding in access)
    if works and tenant.state is TenantState.ACCESS_FAILED:
        yield warning(
            "tenant.state",
            "The access had failed, and works again; the worker has not noticed yet.",
            f"To tell it now: entra-sms tenants check {output.shown(tenant.name)}",
        )
    if tenant.credential_expires_at is not None:
        yield _expiry(tenant.credential_expires_at, utc_now())
    if settings.public_url and access[0].verdict is Verdict.FINE:
        yield from _subscriptions(one, settings, graph)


def _access(graph: GraphClient, settings: Settings) -> Iterator[Finding]:
    """Yield the sign-in, and each permission as it was proven by a read."""
    try:
        proofs = check_access(graph)
    except AccessError as error:
        yield trouble("tenant.sign_in", error.reason, error.advice, code_of(error))
        return
    except RetryLaterError as error:
        yield trouble("tenant.sign_in", str(error), where_to_look(error, settings, graph.cloud), code_of(error))
        return
    yield fine("tenant.sign_in", "The sign-in works.")
    for proof in proofs:
        name = f"tenant.permission.{proof.permission}"
        if proof.trouble is None:
            yield fine(name, f"{proof.permission}: a read that needs it works.")
        else:
            yield trouble(name, proof.trouble, code=Exit.ACCESS_REFUSED)


def _expiry(expires_at: datetime, now: datetime) -> Finding:
    name, text, left = "tenant.credential", expiry.sentence(expires_at, now), expires_at - now
    if left > max(expiry.WARNING_DAYS) * expiry.DAY:
        return fine(name, text)
    if left > expiry.URGENT_DAYS * expiry.DAY:
        return warning(name, text, expiry.ADVICE)
    return trouble(name, text, expiry.ADVICE, Exit.ACCESS_REFUSED)


def _subscriptions(one: Known, settings: Settings, graph: GraphClient) -> Iterator[Finding]:
    try:
        actual = graph.subscriptions()
    except EntraSmsError as error:
        yield of_error("tenant.subscriptions", error)
        return
    now = utc_now()
    due = one.tenant.reconcile_at
    when = f"by itself when it looks next, {times.until(due, now)}" if due > now else "by itself as soon as one runs"
    advice = f"A worker mends it {when}."
    if one.subscription_trouble:
        advice = f"The worker says: {output.shown(one.subscription_trouble)} {advice}"
    yield from check_subscriptions.compare(one.subscriptions, actual, settings.public_url, now=now, advice=advice)
