"""What a tenant holds: counts, streams, subscriptions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from common.db.tables import contacts, groups, memberships, subscriptions
from common.db.visible import is_visible
from common.messages import Stream
from common.phones import PhoneState
from console.output import plural


@dataclass(frozen=True)
class Size:
    """How much there is in the book of one tenant."""

    people: int
    without_number: int
    invalid_number: int
    groups: int
    memberships: int

    @property
    def reachable(self) -> int:
        return self.people - self.without_number - self.invalid_number

    def of(self, stream: Stream) -> int:
        return self.people if stream is Stream.USERS else self.groups

    def in_words(self) -> str:
        return (
            f"{plural(self.people, 'contact')}, {plural(self.groups, 'group')} and "
            f"{plural(self.memberships, 'membership')}"
        )


@dataclass(frozen=True)
class SubscriptionRow:
    """A subscription that the worker keeps."""

    subscription_id: str
    stream: str
    expires_at: datetime


def size_of(connection: Connection, tenant_id: str) -> Size:
    by_state: dict[str, int] = dict(
        connection.execute(
            select(contacts.c.phone_state, func.count())
            .where(contacts.c.tenant_id == tenant_id)
            .group_by(contacts.c.phone_state)
        ).all()
    )
    return Size(
        people=sum(by_state.values()),
        without_number=by_state.get(PhoneState.MISSING, 0),
        invalid_number=by_state.get(PhoneState.INVALID, 0),
        groups=connection.execute(
            select(func.count()).select_from(groups).where(groups.c.tenant_id == tenant_id)
        ).scalar_one(),
        memberships=connection.execute(
            select(func.count()).select_from(memberships).where(memberships.c.tenant_id == tenant_id, is_visible())
        ).scalar_one(),
    )


def subscriptions_of(connection: Connection, tenant_id: str) -> list[SubscriptionRow]:
    table = subscriptions.c
    rows = connection.execute(
        select(table.subscription_id, table.stream, table.expires_at)
        .where(table.tenant_id == tenant_id)
        .order_by(table.stream.desc())
    )
    return [SubscriptionRow(row.subscription_id, row.stream, row.expires_at) for row in rows]
