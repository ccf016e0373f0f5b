"""Groups in groups: which groups are in a group, and which groups somebody is in. Cycles end by themselves.

The recursion is a UNION, which drops what it has met before.
"""

from __future__ import annotations

from sqlalchemy import CTE, Select, literal, select
from sqlalchemy.sql.expression import ColumnElement

from common.db.tables import Guid, groups, memberships
from common.db.visible import GROUP, USER


def groups_within(tenant_id: str, group_id: str) -> CTE:
    """Return `object_id` of the group itself and of every group in it, however deep."""
    within = select(literal(group_id, Guid).label("object_id")).cte("within", recursive=True)
    return within.union(_step(tenant_id, within, come_from=memberships.c.group_id, go_to=memberships.c.member_id))


def people_within(tenant_id: str, group_id: str) -> Select[str]:
    """Return the ids of the people in the group and in every group in it."""
    within = groups_within(tenant_id, group_id)
    return (
        select(memberships.c.member_id)
        .distinct()
        .join(within, within.c.object_id == memberships.c.group_id)
        .where(memberships.c.tenant_id == tenant_id, memberships.c.member_type == USER)
    )


def people_directly_in(tenant_id: str, group_id: str) -> Select[str]:
    return select(memberships.c.member_id).where(
        memberships.c.tenant_id == tenant_id,
        memberships.c.group_id == group_id,
        memberships.c.member_type == USER,
    )


def groups_around(tenant_id: str, member_id: str) -> CTE:
    """Return `object_id` of every group that holds the member, directly or through other groups."""
    around = select(*_holders(tenant_id, member_id).selected_columns).cte("around", recursive=True)
    return around.union(_step(tenant_id, around, come_from=memberships.c.member_id, go_to=memberships.c.group_id))


def groups_directly_around(tenant_id: str, member_id: str) -> Select[str]:
    return _holders(tenant_id, member_id)


def _holders(tenant_id: str, member_id: str) -> Select[str]:
    return select(memberships.c.group_id.label("object_id")).where(
        memberships.c.tenant_id == tenant_id, memberships.c.member_id == member_id
    )


def _step(tenant_id: str, so_far: CTE, *, come_from: ColumnElement[str], go_to: ColumnElement[str]) -> Select[str]:
    """Go from the groups met so far to their neighbours, as far as these are in the book."""
    return (
        select(go_to.label("object_id"))
        .join(so_far, so_far.c.object_id == come_from)
        .join(groups, (groups.c.tenant_id == memberships.c.tenant_id) & (groups.c.object_id == go_to))
        .where(memberships.c.tenant_id == tenant_id, memberships.c.member_type == GROUP)
    )
