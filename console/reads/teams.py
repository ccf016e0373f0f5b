"""Groups: found by id or name, listed with their sizes, and shown with what is in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select, tuple_

from common.db import members
from common.db.engine import batches
from common.db.tables import contacts, groups, memberships
from common.db.visible import GROUP, USER, is_visible
from common.phones import PhoneState
from console.reads.letters import contains, equals
from console.reads.people import as_guid


@dataclass(frozen=True)
class Team:
    """A group of the directory."""

    object_id: str
    display_name: str | None
    mail: str | None
    kind: str | None


@dataclass(frozen=True)
class Counted:
    """A group with the number of its direct members."""

    team: Team
    people: int
    groups: int
    others: int


@dataclass(frozen=True)
class Reach:
    """How many people a group reaches with everything in it, and how many of them by SMS."""

    people: int
    with_number: int


@dataclass(frozen=True)
class Member:
    """What is directly in a group. Only people and groups have names here; `type` may be another, e.g. ``device``."""

    object_id: str
    type: str
    display_name: str | None


_COLUMNS = [groups.c[name] for name in Team.__dataclass_fields__]
_ORDER = (func.lower(groups.c.display_name), groups.c.object_id)


def find(connection: Connection, tenant_id: str, wanted: str, *, limit: int) -> Sequence[Team]:
    """Return the groups meant by an id, a name or a mail address, else those with `wanted` in their name."""
    object_id = as_guid(wanted)
    meanings: list[ColumnElement[bool]] = (
        [groups.c.object_id == object_id]
        if object_id
        else [
            equals(groups.c.display_name, wanted.strip()),
            equals(groups.c.mail, wanted.strip()),
            contains(groups.c.display_name, wanted.strip()),
        ]
    )
    for meaning in meanings:
        found = _teams(connection, select(*_COLUMNS).where(groups.c.tenant_id == tenant_id, meaning), limit)
        if found:
            return found
    return []


def count(connection: Connection, tenant_id: str, search: str | None) -> int:
    number: int = connection.execute(
        select(func.count()).select_from(groups).where(*_searched(tenant_id, search))
    ).scalar_one()
    return number


def page(connection: Connection, tenant_id: str, search: str | None, limit: int) -> list[Counted]:
    """Return the first groups, ordered by name, each with the number of its direct members."""
    return _counted(connection, select(groups).where(*_searched(tenant_id, search)).order_by(*_ORDER).limit(limit))


def page_by_id(
    connection: Connection, tenant_id: str, search: str | None, after: str | None, limit: int
) -> list[Counted]:
    """Return the first groups after the object id `after`, ordered by object id, which never changes."""
    later = [groups.c.object_id > after] if after is not None else []
    found = select(groups).where(*_searched(tenant_id, search), *later).order_by(groups.c.object_id).limit(limit)
    return sorted(_counted(connection, found), key=lambda one: one.team.object_id)


def get(connection: Connection, tenant_id: str, object_id: str) -> Team | None:
    mine = (groups.c.tenant_id == tenant_id, groups.c.object_id == object_id)
    row = connection.execute(select(*_COLUMNS).where(*mine)).one_or_none()
    return Team(*row) if row is not None else None


def kinds_of_members(connection: Connection, tenant_id: str, group_id: str) -> dict[str, int]:
    """Return how many direct members of each type the group has."""
    edge = memberships.c
    query = (
        select(edge.member_type, func.count())
        .where(edge.tenant_id == tenant_id, edge.group_id == group_id, is_visible())
        .group_by(edge.member_type)
        .order_by(edge.member_type)
    )
    return dict(connection.execute(query).all())


def reach(connection: Connection, tenant_id: str, group_id: str) -> Reach:
    """Count the people of the group and of all groups in it."""
    query = select(func.count(), func.count(case((contacts.c.phone_state == PhoneState.OK, 1)))).where(
        contacts.c.tenant_id == tenant_id, contacts.c.object_id.in_(members.people_within(tenant_id, group_id))
    )
    return Reach(*connection.execute(query).one())


def members_by_id(connection: Connection, tenant_id: str, group_id: str, after: str | None, limit: int) -> list[Member]:
    """Return the first direct members of the group after the object id `after`, of every type, ordered by object id."""
    edge = memberships.c
    later = [edge.member_id > after] if after is not None else []
    person = (contacts.c.tenant_id == edge.tenant_id) & (contacts.c.object_id == edge.member_id)
    nested = (groups.c.tenant_id == edge.tenant_id) & (groups.c.object_id == edge.member_id)
    query = (
        select(edge.member_id, edge.member_type, func.coalesce(contacts.c.display_name, groups.c.display_name))
        .select_from(memberships)
        .outerjoin(contacts, person)
        .outerjoin(groups, nested)
        .where(edge.tenant_id == tenant_id, edge.group_id == group_id, is_visible(), *later)
        .order_by(edge.member_id)
        .limit(limit)
    )
    return [Member(*row) for row in connection.execute(query)]


def directly_in(connection: Connection, tenant_id: str, group_id: str) -> list[Team]:
    """Return the groups that are members of the group."""
    edge = memberships.c
    ids = select(edge.member_id).where(
        edge.tenant_id == tenant_id, edge.group_id == group_id, edge.member_type == GROUP
    )
    return with_ids(connection, tenant_id, ids)


def _counted(connection: Connection, found: Select[Any]) -> list[Counted]:
    """Return the groups that are `found`, ordered by name, counting the members of no other."""
    chosen = found.subquery()
    one, edge = chosen.c, memberships.c
    shown = [one[name] for name in Team.__dataclass_fields__]
    of_group = and_(edge.tenant_id == one.tenant_id, edge.group_id == one.object_id, is_visible())
    query = (
        select(
            *shown,
            func.count(case((edge.member_type == USER, 1))),
            func.count(case((edge.member_type == GROUP, 1))),
            func.count(edge.member_id),
        )
        .join_from(chosen, memberships, of_group, isouter=True)
        .group_by(*shown)
        .order_by(func.lower(one.display_name), one.object_id)
    )
    return [
        Counted(Team(*team), people, nested, everything - people - nested)
        for *team, people, nested, everything in connection.execute(query)
    ]


def with_ids(connection: Connection, tenant_id: str, ids: Select[str] | Collection[str]) -> list[Team]:
    """Return the groups with these ids, as far as there are such."""
    return _teams(
        connection, select(*_COLUMNS).where(groups.c.tenant_id == tenant_id, groups.c.object_id.in_(ids)), None
    )


def known_among(connection: Connection, wanted: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of `wanted`, each a tenant's id and a group's, that are in the address books."""
    found: set[tuple[str, str]] = set()
    for batch in batches(list(wanted)):
        key = (groups.c.tenant_id, groups.c.object_id)
        query = select(*key).where(tuple_(*key).in_(batch))
        found.update((row.tenant_id, row.object_id) for row in connection.execute(query))
    return found


def _searched(tenant_id: str, search: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [groups.c.tenant_id == tenant_id]
    if search is not None and search.strip():
        conditions.append(contains(groups.c.display_name, search.strip()))
    return conditions


def _teams(connection: Connection, query: Select[Any], limit: int | None) -> list[Team]:
    return [Team(*row) for row in connection.execute(query.order_by(*_ORDER).limit(limit))]
