"""Tenants as rows: saved by the console, read by the worker, and the two streams that each has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, insert, null, select, update

from common.db.tables import streams, tenants
from common.graph.credentials import Credential, Credentials, from_text, to_text
from common.messages import Stream
from common.scope import Scope, read_condition
from common.secrets import Vault


class TenantState(StrEnum):
    """Whether the tenant is advanced: normally, not at all, or now and then to see whether its access is back."""

    ACTIVE = "active"
    PAUSED = "paused"
    ACCESS_FAILED = "access_failed"


@dataclass(frozen=True)
class Agreement:
    """The data processing agreement; without one nothing of a tenant is read."""

    reference: str
    signed_on: date


@dataclass(frozen=True)
class RemovalLimit:
    """More than `count` contacts and more than `percent` of the book leave in a day only if somebody approves it."""

    count: int = 20
    percent: int = 10


@dataclass(frozen=True)
class RecipientRule:
    """Whether people with a disabled account, and whether guests, are sent messages."""

    disabled: bool = False
    guests: bool = True


@dataclass(frozen=True)
class Tenant:
    """A customer's directory. `sealed_credential` opens only with the server key."""

    tenant_id: str
    name: str
    domain: str | None
    client_id: str
    sealed_credential: str
    credential_expires_at: datetime | None
    cloud: str | None
    default_region: str | None
    agreement: Agreement
    removal_limit: RemovalLimit
    recipient_rule: RecipientRule
    scope: Scope
    state: TenantState
    state_code: str | None
    state_reason: str | None
    state_since: datetime
    throttled_until: datetime | None
    reconcile_at: datetime

    def is_called(self, wanted: str) -> bool:
        """Tell whether `wanted` is its id, its domain or its name, in any case."""
        folded = wanted.strip().casefold()
        return folded in (self.tenant_id, self.name.casefold(), (self.domain or self.name).casefold())

    def credentials(self, vault: Vault) -> Credentials:
        """Return the credentials in plain; never log or print them.

        Raises:
            SettingsError: the server key is not the one they were sealed with.
        """
        return Credentials(self.tenant_id, self.client_id, from_text(vault.open(self.sealed_credential)))


USUAL_REMOVAL_LIMIT = RemovalLimit()
USUAL_RECIPIENT_RULE = RecipientRule()


def seal_credential(vault: Vault, credential: Credential) -> str:
    return vault.seal(to_text(credential))


def save(
    connection: Connection,
    *,
    tenant_id: str,
    name: str,
    domain: str | None,
    client_id: str,
    sealed_credential: str | None,
    credential_expires_at: datetime | None = None,
    cloud: str | None = None,
    default_region: str | None,
    agreement: Agreement,
    removal_limit: RemovalLimit | None = None,
    recipient_rule: RecipientRule | None = None,
    scope: Scope | None = None,
    now: datetime,
) -> bool:
    """Add the tenant with its two streams, or replace its settings; tell whether it is new.

    It is active, unless it is paused; its streams are due at once, and its subscriptions are looked at. Without a
    credential, a `removal_limit`, a `recipient_rule` or a `scope` a known tenant keeps its own; a new one gets the
    usual ones, and everybody is in its scope.
    """
    values: dict[str, object] = {
        "name": name,
        "domain": domain,
        "client_id": client_id,
        "cloud": cloud,
        "default_region": default_region,
        "agreement_reference": agreement.reference,
        "agreement_date": agreement.signed_on,
        "reconcile_at": now,
    }
    if sealed_credential is not None:
        values |= _of_credential(sealed_credential, credential_expires_at)
    if removal_limit is not None:
        values |= {"removal_limit_count": removal_limit.count, "removal_limit_percent": removal_limit.percent}
    if recipient_rule is not None:
        values |= {
            "disabled_are_recipients": recipient_rule.disabled,
            "guests_are_recipients": recipient_rule.guests,
        }
    if scope is not None:
        values |= _of_scope(scope)
    active = {"state": TenantState.ACTIVE, "state_code": None, "state_reason": None, "state_since": now}
    mine = tenants.c.tenant_id == tenant_id
    known = connection.execute(update(tenants).where(mine).values(values)).rowcount > 0
    if known:
        connection.execute(update(tenants).where(mine, tenants.c.state != TenantState.PAUSED).values(active))
        make_due(connection, tenant_id, now)
        return False
    connection.execute(insert(tenants).values(tenant_id=tenant_id, created_at=now, **values, **active))
    rows = [{"tenant_id": tenant_id, "stream": stream, "next_poll_at": now} for stream in Stream]
    connection.execute(insert(streams), rows)
    return True


def change_credential(
    connection: Connection, tenant_id: str, sealed_credential: str, expires_at: datetime | None, now: datetime
) -> bool:
    """Put another credential in place of the tenant's; tell whether it was there. A failed access is active again."""
    mine = tenants.c.tenant_id == tenant_id
    values = _of_credential(sealed_credential, expires_at)
    if not connection.execute(update(tenants).where(mine).values(**values, reconcile_at=now)).rowcount:
        return False
    active = {"state": TenantState.ACTIVE, "state_code": None, "state_reason": None, "state_since": now}
    connection.execute(update(tenants).where(mine, tenants.c.state == TenantState.ACCESS_FAILED).values(active))
    make_due(connection, tenant_id, now)
    return True


def change_scope(connection: Connection, tenant_id: str, scope: Scope, now: datetime) -> bool:
    """Limit the tenant's book to `scope`, or widen it; tell whether it was there. Its streams are due at once."""
    mine = tenants.c.tenant_id == tenant_id
    if not connection.execute(update(tenants).where(mine).values(_of_scope(scope))).rowcount:
        return False
    make_due(connection, tenant_id, now)
    return True


def note_expiry(connection: Connection, tenant_id: str, expires_at: datetime) -> None:
    """Note when the credential in use expires; whatever was told of another date is forgotten."""
    values = {"credential_expires_at": expires_at, "expiry_told_days": None}
    connection.execute(update(tenants).where(tenants.c.tenant_id == tenant_id).values(values))


def _of_credential(sealed_credential: str, expires_at: datetime | None) -> dict[str, object]:
    return {"credential": sealed_credential, "credential_expires_at": expires_at, "expiry_told_days": None}


def _of_scope(scope: Scope) -> dict[str, object]:
    # null() and not None, which a JSON column would keep as a JSON null.
    return {"scope_groups": list(scope.group_ids) or null(), "scope_condition": scope.condition_text}


def lock_streams(connection: Connection, tenant_id: str) -> None:
    """Lock the tenant's streams until the end of the transaction, that of the people first.

    A worker that holds the people's stream may want that of the groups as well. In another order, which is that of a
    statement for both, it and this transaction could wait for each other.
    """
    mine = select(streams.c.stream).where(streams.c.tenant_id == tenant_id)
    connection.execute(mine.order_by(streams.c.stream.desc()).with_for_update()).all()


def make_due(connection: Connection, tenant_id: str, now: datetime) -> None:
    """Have the worker advance both streams as soon as it can."""
    lock_streams(connection, tenant_id)
    connection.execute(update(streams).where(streams.c.tenant_id == tenant_id).values(next_poll_at=now))


BY_AN_OPERATOR = "by an operator"
"""Why a tenant is paused when no reason was given."""


def pause(connection: Connection, tenant_id: str, reason: str, now: datetime) -> bool:
    """Stop advancing the tenant, at once; tell whether it was not paused already.

    Whoever is advancing one of its streams is fenced off: nothing more of it is committed. Its subscriptions go.
    """
    mine = tenants.c.tenant_id == tenant_id
    values = {"state": TenantState.PAUSED, "state_code": None, "state_reason": reason}
    running = update(tenants).where(mine, tenants.c.state != TenantState.PAUSED)
    if not connection.execute(running.values(**values, state_since=now, reconcile_at=now)).rowcount:
        return False
    lock_streams(connection, tenant_id)
    fenced = {"lease_holder": None, "lease_until": None, "lease_fence": streams.c.lease_fence + 1}
    connection.execute(update(streams).where(streams.c.tenant_id == tenant_id).values(fenced))
    return True


def resume(connection: Connection, tenant_id: str, now: datetime) -> bool:
    """Go on where the pause began; tell whether the tenant was paused."""
    mine = (tenants.c.tenant_id == tenant_id, tenants.c.state == TenantState.PAUSED)
    values = {"state": TenantState.ACTIVE, "state_code": None, "state_reason": None}
    if not connection.execute(
        update(tenants).where(*mine).values(**values, state_since=now, reconcile_at=now)
    ).rowcount:
        return False
    make_due(connection, tenant_id, now)
    return True


def get(connection: Connection, tenant_id: str) -> Tenant | None:
    row = connection.execute(select(tenants).where(tenants.c.tenant_id == tenant_id)).one_or_none()
    return _tenant(row) if row is not None else None


def find(connection: Connection, wanted: str) -> Sequence[Tenant]:
    """Return the tenants meant by an id, a domain or a name (in any case); ``*`` means all. Ordered by name."""
    query = select(tenants).order_by(tenants.c.name, tenants.c.tenant_id)
    # Compared here and not in SQL: SQLite's lower() knows no letters but A to Z, and there are few tenants.
    found = [_tenant(row) for row in connection.execute(query)]
    return found if wanted == "*" else [tenant for tenant in found if tenant.is_called(wanted)]


def page_by_id(
    connection: Connection, tenant_ids: Collection[str] | None, after: str | None, limit: int
) -> Sequence[Tenant]:
    """Return the first tenants after the id `after`, ordered by id: of these, or of all."""
    query = select(tenants).order_by(tenants.c.tenant_id).limit(limit)
    if tenant_ids is not None:
        query = query.where(tenants.c.tenant_id.in_(tenant_ids))
    if after is not None:
        query = query.where(tenants.c.tenant_id > after)
    return [_tenant(row) for row in connection.execute(query)]


def _tenant(row: Row[tuple[object, ...]]) -> Tenant:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it begins with an underscore
    return Tenant(
        tenant_id=values["tenant_id"],
        name=values["name"],
        domain=values["domain"],
        client_id=values["client_id"],
        sealed_credential=values["credential"],
        credential_expires_at=values["credential_expires_at"],
        cloud=values["cloud"],
        default_region=values["default_region"],
        agreement=Agreement(values["agreement_reference"], values["agreement_date"]),
        removal_limit=_removal_limit(values["removal_limit_count"], values["removal_limit_percent"]),
        recipient_rule=RecipientRule(values["disabled_are_recipients"], values["guests_are_recipients"]),
        scope=_scope(values["scope_groups"], values["scope_condition"]),
        state=TenantState(values["state"]),
        state_code=values["state_code"],
        state_reason=values["state_reason"],
        state_since=values["state_since"],
        throttled_until=values["throttled_until"],
        reconcile_at=values["reconcile_at"],
    )


def _scope(group_ids: list[str] | None, condition: str | None) -> Scope:
    return Scope(tuple(group_ids or ()), read_condition(condition) if condition else None)


def _removal_limit(count: int | None, percent: int | None) -> RemovalLimit:
    usual = USUAL_REMOVAL_LIMIT
    return RemovalLimit(usual.count if count is None else count, usual.percent if percent is None else percent)
