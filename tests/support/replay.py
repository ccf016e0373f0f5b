"""The feed of changes read from its beginning: what a consumer who knows nothing else would hold.

Written from the description of the feed, not from the code that writes it.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from common.db.engine import Database
from common.db.tables import changes, contacts, groups, memberships


@dataclass
class Replayed:
    """Ids only: the feed has no values."""

    contacts: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    memberships: set[tuple[str, str]] = field(default_factory=set)
    unseen: set[tuple[str, str]] = field(default_factory=set, compare=False)
    """Memberships that were told while their group was not there: nobody saw them, so they are told once more."""

    def follow(self, kind: str, object_id: str, member_id: str | None, fields: list[str] | None) -> None:
        thing, _, verb = kind.partition(".")
        if thing == "membership":
            assert member_id is not None
            self._follow_membership((object_id, member_id), verb)
            return
        assert member_id is None
        _set(self.contacts if thing == "contact" else self.groups, object_id, verb)
        assert bool(fields) == (verb == "changed"), f"{kind} names the fields {fields}"
        if kind == "group.removed":  # its memberships go with it, without a word about each
            self.memberships = {edge for edge in self.memberships if edge[0] != object_id}
            self.unseen = {edge for edge in self.unseen if edge[0] != object_id}

    def _follow_membership(self, key: tuple[str, str], verb: str) -> None:
        group_is_there, was_unseen = key[0] in self.groups, key in self.unseen
        self.unseen.discard(key)
        if verb == "added" and group_is_there and was_unseen:
            return
        _set(self.memberships, key, verb)
        if verb == "added" and not group_is_there:
            self.unseen.add(key)


def replayed(database: Database, tenant_id: str) -> Replayed:
    """Follow the feed of a tenant from empty; fails at the first change that cannot follow what was before it."""
    result = Replayed()
    query = select(changes).where(changes.c.tenant_id == tenant_id).order_by(changes.c.sequence)
    with database.read() as connection:
        for row in connection.execute(query):
            result.follow(row.kind, row.object_id, row.member_id, row.fields)
    forgotten = {edge for edge in result.unseen if edge[0] in result.groups}
    assert not forgotten, f"nobody was told of {forgotten} when the group came"
    return result


def held(database: Database, tenant_id: str) -> Replayed:
    """What the book holds."""
    with database.read() as connection:
        edges = connection.execute(select(memberships).where(memberships.c.tenant_id == tenant_id))
        return Replayed(
            set(connection.scalars(select(contacts.c.object_id).where(contacts.c.tenant_id == tenant_id))),
            set(connection.scalars(select(groups.c.object_id).where(groups.c.tenant_id == tenant_id))),
            {(edge.group_id, edge.member_id) for edge in edges},
        )


def _set(known: set[Any], key: Any, verb: str) -> None:
    assert (key in known) == (verb != "added"), f"{key} {verb}"
    if verb == "added":
        known.add(key)
    elif verb == "removed":
        known.remove(key)
    else:
        assert verb == "changed", verb
