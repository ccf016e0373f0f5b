"""Who is in a group, directly and through the groups in it. Cycles end by themselves.

The recursion is a UNION, which drops what it has met before. The other direction is `console.reads.group_paths`.
"""

from __future__ import annotations

from sqlalchemy import CTE, Select, literal, select

from common.db.tables import Guid, groups, memberships
from common.db.visible import GROUP, USER


def groups_within(tenant_id: str, group_id: str) -> CTE:
    """Return `object_id` of the group itself and of every group of the book in it, however deep."""
    within = select(literal(group_id, Guid).label("object_id")).cte("within", recursive=True)
    edge = memberships.c
    return within.union(
        select(edge.member_id.label("object_id"))
        .join(within, within.c.object_id == edge.group_id)
        .join(groups, (groups.c.tenant_id == edge.tenant_id) & (groups.c.object_id == edge.member_id))
        .where(edge.tenant_id == tenant_id, edge.member_type == GROUP)
    )


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
