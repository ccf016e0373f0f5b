"""Removals that were too many to be made unasked: the holds, and who would leave the book."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, select

from common.db.tables import contacts, groups, held_removals, holds, tenants
from common.messages import Mode, Stream
from common.phones import PhoneState
from console.output import plural


@dataclass(frozen=True)
class Hold:
    """A hold as it stands; `removal_limit` people or groups of `book_size` could have left in a day unasked."""

    hold_id: int
    tenant_id: str
    tenant_name: str
    stream: Stream
    began_at: datetime
    mode: Mode
    reason: str
    book_size: int
    removal_limit: int
    removed_before: int
    last_number: int
    decision: str | None
    decided_at: datetime | None
    decided_up_to: int | None
    decision_request_id: str | None
    ended_at: datetime | None
    outcome: str | None
    held: int
    """How many are held now: nobody any more when it has ended."""
    last_noted_at: datetime | None
    """When the latest of them was held."""

    @property
    def is_open(self) -> bool:
        return self.ended_at is None

    @property
    def nouns(self) -> str:
        return "people" if self.stream is Stream.USERS else "groups"

    def things(self, count: int) -> str:
        """Return e.g. ``523 people`` or ``1 group``."""
        return plural(count, "person", "people") if self.stream is Stream.USERS else plural(count, "group")


@dataclass(frozen=True)
class HeldRemoval:
    """Who would leave: the number of the removal, and what the book says of the person or the group."""

    number: int
    object_id: str
    name: str | None
    mail: str | None
    phone: str | None
    phone_state: PhoneState | None
    kind: str | None


_FACTS = [holds.c[name] for name in Hold.__dataclass_fields__ if name in holds.c]


def open_holds(connection: Connection, tenant_ids: Collection[str] | None = None) -> list[Hold]:
    """Return the holds that wait for a decision, of some tenants or of all, ordered by number."""
    return _holds(connection, holds.c.ended_at.is_(None), *_of(tenant_ids))


def all_holds(connection: Connection, tenant_ids: Collection[str] | None = None) -> list[Hold]:
    """Return the holds that have ended as well."""
    return _holds(connection, *_of(tenant_ids))


def get(connection: Connection, hold_id: int) -> Hold | None:
    found = _holds(connection, holds.c.hold_id == hold_id)
    return found[0] if found else None


def count(connection: Connection, hold: Hold, up_to: int) -> int:
    """Return how many removals of an open hold have a number that is not above `up_to`."""
    query = select(func.count()).select_from(held_removals).where(_held_in(hold), held_removals.c.number <= up_to)
    number: int = connection.execute(query).scalar_one()
    return number


def numbered_ids(connection: Connection, hold: Hold) -> list[tuple[int, str]]:
    """Return number and object id of each removal of an open hold, ordered by number."""
    query = select(held_removals.c.number, held_removals.c.object_id).where(_held_in(hold))
    return [(number, object_id) for number, object_id in connection.execute(query.order_by(held_removals.c.number))]


def page(connection: Connection, hold: Hold, limit: int, *, up_to: int | None = None) -> list[HeldRemoval]:
    """Return the first removals of an open hold, none with a number above `up_to`, ordered by number."""
    removal = held_removals.c
    person = and_(contacts.c.tenant_id == removal.tenant_id, contacts.c.object_id == removal.object_id)
    group = and_(groups.c.tenant_id == removal.tenant_id, groups.c.object_id == removal.object_id)
    query = (
        select(
            removal.number,
            removal.object_id,
            func.coalesce(contacts.c.display_name, contacts.c.user_principal_name, groups.c.display_name).label("name"),
            func.coalesce(contacts.c.mail, contacts.c.user_principal_name, groups.c.mail).label("mail"),
            contacts.c.phone,
            contacts.c.phone_state,
            groups.c.kind,
        )
        .select_from(held_removals.outerjoin(contacts, person).outerjoin(groups, group))
        .where(_held_in(hold), removal.number <= (hold.last_number if up_to is None else up_to))
        .order_by(removal.number)
        .limit(limit)
    )
    return [_removal(row) for row in connection.execute(query).mappings()]


def _holds(connection: Connection, *conditions: ColumnElement[bool]) -> list[Hold]:
    held = select(held_removals).where(
        held_removals.c.tenant_id == holds.c.tenant_id,
        held_removals.c.stream == holds.c.stream,
        holds.c.ended_at.is_(None),
    )
    query = (
        select(
            *_FACTS,
            tenants.c.name.label("tenant_name"),
            held.with_only_columns(func.count()).scalar_subquery().label("held"),
            held.with_only_columns(func.max(held_removals.c.noted_at)).scalar_subquery().label("last_noted_at"),
        )
        .join_from(holds, tenants)
        .where(*conditions)
        .order_by(holds.c.hold_id)
    )
    return [_hold(row) for row in connection.execute(query).mappings()]


def _of(tenant_ids: Collection[str] | None) -> list[ColumnElement[bool]]:
    return [] if tenant_ids is None else [holds.c.tenant_id.in_(tenant_ids)]


def _held_in(hold: Hold) -> ColumnElement[bool]:
    return and_(held_removals.c.tenant_id == hold.tenant_id, held_removals.c.stream == hold.stream)


def _hold(row: RowMapping) -> Hold:
    values = dict(row)
    values["stream"], values["mode"] = Stream(values["stream"]), Mode(values["mode"])
    return Hold(**values)


def _removal(row: RowMapping) -> HeldRemoval:
    values = dict(row)
    values["phone_state"] = PhoneState(values["phone_state"]) if values["phone_state"] is not None else None
    return HeldRemoval(**values)
