"""Who is in groups, directly and through the groups in them. Cycles end by themselves.

The recursion is a UNION, which drops what it has met before. The other direction is `console.reads.group_paths`.
"""

from __future__ import annotations

from sqlalchemy import CTE, ColumnElement, Select, select

from common.db.tables import groups, memberships
from common.db.visible import GROUP, USER


def groups_within(tenant_id: str, *group_ids: str) -> CTE:
    """Return `tenant_id` and `object_id` of the groups and of every group in them, however deep, of those in the book.

    It carries the tenant along for SQLite, which would else go through all memberships of the tenant for each group.
    """
    group, edge = groups.c, memberships.c
    start = select(group.tenant_id, group.object_id)
    # Without a name of its own, since a statement may ask for several.
    reached = start.where(group.tenant_id == tenant_id, group.object_id.in_(group_ids)).cte(recursive=True)
    return reached.union(
        start.select_from(reached)
        .join(memberships, _of_group(reached))
        .join(groups, (group.tenant_id == edge.tenant_id) & (group.object_id == edge.member_id))
        .where(edge.member_type == GROUP)
    )


def people_within(tenant_id: str, *group_ids: str) -> Select[str]:
    """Return the ids of the people in the groups and in every group in them; some more than once."""
    reached = groups_within(tenant_id, *group_ids)
    edge = memberships.c
    people = select(edge.member_id).join_from(reached, memberships, _of_group(reached))
    return people.where(edge.member_type == USER)


def _of_group(reached: CTE) -> ColumnElement[bool]:
    edge = memberships.c
    return (edge.tenant_id == reached.c.tenant_id) & (edge.group_id == reached.c.object_id)


def people_directly_in(tenant_id: str, group_id: str) -> Select[str]:
    return select(memberships.c.member_id).where(
        memberships.c.tenant_id == tenant_id,
        memberships.c.group_id == group_id,
        memberships.c.member_type == USER,
    )
