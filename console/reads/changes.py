"""The feed of changes, all of it or a tenant's, with the names of those who are still there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, and_, func, select

from common.db.tables import changes, contacts, groups, tenants

AT_ONCE = 1_000


@dataclass(frozen=True)
class Change:
    """One change; `kind`, `fields` and `reason` are words of the feed."""

    sequence: int
    tenant_id: str
    tenant: str
    at: datetime
    kind: str
    object_id: str
    member_id: str | None
    fields: tuple[str, ...]
    reason: str
    name: str | None
    """Of the person or group that changed, or is the member; None where it has none, or is gone."""
    group: str | None
    """Of a membership: the name of the group, likewise."""


def latest(connection: Connection, *, tenant_id: str | None, limit: int, up_to: int) -> Sequence[Change]:
    """Return the latest changes up to number `up_to` (`console.reads.horizon`), oldest first."""
    numbers = _numbers(tenant_id).where(changes.c.sequence <= up_to)
    return _changes(connection, numbers.order_by(changes.c.sequence.desc()).limit(limit))


def after(connection: Connection, sequence: int, *, tenant_id: str | None, limit: int, up_to: int) -> Sequence[Change]:
    """Return the first changes after number `sequence`, up to number `up_to`, oldest first."""
    numbers = _numbers(tenant_id).where(changes.c.sequence > sequence, changes.c.sequence <= up_to)
    return _changes(connection, numbers.order_by(changes.c.sequence).limit(limit))


def _numbers(tenant_id: str | None) -> Select[int]:
    mine = [changes.c.tenant_id == tenant_id] if tenant_id is not None else []
    return select(changes.c.sequence).where(*mine)


def _changes(connection: Connection, numbers: Select[int]) -> Sequence[Change]:
    nested = groups.alias()
    subject = func.coalesce(changes.c.member_id, changes.c.object_id)
    person = and_(contacts.c.tenant_id == changes.c.tenant_id, contacts.c.object_id == subject)
    team = and_(groups.c.tenant_id == changes.c.tenant_id, groups.c.object_id == changes.c.object_id)
    member = and_(nested.c.tenant_id == changes.c.tenant_id, nested.c.object_id == changes.c.member_id)
    query = (
        select(
            changes,
            tenants.c.name.label("tenant"),
            contacts.c.display_name.label("person"),
            groups.c.display_name.label("team"),
            nested.c.display_name.label("member"),
        )
        .join_from(changes, tenants, tenants.c.tenant_id == changes.c.tenant_id)
        .outerjoin(contacts, person)
        .outerjoin(groups, team)
        .outerjoin(nested, member)
        .where(changes.c.sequence.in_(numbers))
        .order_by(changes.c.sequence)
    )
    return [
        Change(
            sequence=row.sequence,
            tenant_id=row.tenant_id,
            tenant=row.tenant,
            at=row.at,
            kind=row.kind,
            object_id=row.object_id,
            member_id=row.member_id,
            fields=tuple(row.fields or ()),
            reason=row.reason,
            name=row.person or (row.team if row.member_id is None else row.member),
            group=row.team if row.member_id is not None else None,
        )
        for row in connection.execute(query)
    ]
