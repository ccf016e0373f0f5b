"""Through which groups somebody is in a group: each group once, with a shortest way to it. Cycles do no harm."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select

from common.db.engine import batches
from common.db.tables import groups, memberships
from common.db.visible import GROUP
from console.reads.teams import Team


@dataclass(frozen=True)
class GroupPath:
    """A way into a group: `teams` begins with the group itself and ends with the one that has the direct member."""

    teams: tuple[Team, ...]

    @property
    def team(self) -> Team:
        return self.teams[0]

    @property
    def is_direct(self) -> bool:
        return len(self.teams) == 1


def paths_of(connection: Connection, tenant_id: str, member_id: str) -> list[GroupPath]:
    """Return a shortest path to every group that holds the member, the nearest groups first, then by name.

    It goes outwards ring by ring, a query for 500 groups of a ring, and meets no group twice.
    """
    found: dict[str, GroupPath] = {}
    ring: dict[str, tuple[Team, ...]] = {member_id: ()}
    while ring:
        holders = _holders(connection, tenant_id, ring, nested=bool(found))
        next_ring: dict[str, tuple[Team, ...]] = {}
        for team, held_id in holders:
            if team.object_id not in found:
                next_ring[team.object_id] = (team, *ring[held_id])
                found[team.object_id] = GroupPath(next_ring[team.object_id])
        ring = next_ring
    return list(found.values())


def _holders(
    connection: Connection, tenant_id: str, member_ids: Collection[str], *, nested: bool
) -> list[tuple[Team, str]]:
    """Return the groups in the book that directly hold some of the members, each with the member, ordered by name."""
    columns = [groups.c[name] for name in Team.__dataclass_fields__]
    in_book = (groups.c.tenant_id == memberships.c.tenant_id) & (groups.c.object_id == memberships.c.group_id)
    of_groups = [memberships.c.member_type == GROUP] if nested else []
    found: list[tuple[Team, str]] = []
    for batch in batches(list(member_ids)):
        query = (
            select(*columns, memberships.c.member_id)
            .join_from(memberships, groups, in_book)
            .where(memberships.c.tenant_id == tenant_id, memberships.c.member_id.in_(batch), *of_groups)
        )
        found += [(Team(*team), held_id) for *team, held_id in connection.execute(query)]
    place = {member_id: at for at, member_id in enumerate(member_ids)}
    found.sort(key=lambda row: ((row[0].display_name or "").casefold(), row[0].object_id, place[row[1]]))
    return found
