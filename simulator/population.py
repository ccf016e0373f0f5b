"""Who and what is in a directory at one moment, and how a change leads to the next moment.

The truth and every replica of it are populations that apply the same changes, one at once and the others later.
Nothing here decides whether a change is allowed; that is the directory's part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simulator.change_log import Change

Status = Literal["live", "deleted", "purged"]

# How many past members of a group are remembered, to be shown as removed in an initial round.
REMEMBERED_FORMER_MEMBERS = 20


@dataclass(frozen=True, slots=True)
class DirectoryObject:
    """One version of a user, group, device, service principal or contact; never changed, only replaced.

    A property that was never set is absent from `properties`; one that was cleared is None or an empty list.
    """

    id: str
    type: str
    properties: Mapping[str, Any]
    status: Status = "live"
    manager: str | None = None
    former_manager: str | None = None

    @property
    def name(self) -> str:
        """The display name, or the id of a nameless object."""
        return str(self.properties.get("displayName") or self.id)


class Roster:
    """An ordered set whose members keep their position, so that a reader can come back and lose nobody.

    A removed member leaves a gap; a member added again gets a new position at the end.
    """

    def __init__(self, members: Iterable[str] = ()) -> None:
        self._slots: list[str | None] = list(members)
        self._position = {member: position for position, member in enumerate(self._slots) if member is not None}

    def add(self, member: str) -> None:
        if member not in self._position:
            self._position[member] = len(self._slots)
            self._slots.append(member)

    def discard(self, member: str) -> None:
        position = self._position.pop(member, None)
        if position is not None:
            self._slots[position] = None

    def read(self, position: int) -> Iterator[tuple[int, str]]:
        """Yield (position, member) from `position` on."""
        for at in range(position, len(self._slots)):
            member = self._slots[at]
            if member is not None:
                yield at, member

    def at(self, position: int) -> str | None:
        """Return who stands at a position, None for a gap."""
        return self._slots[position] if 0 <= position < len(self._slots) else None

    @property
    def extent(self) -> int:
        """How many positions there are, gaps included."""
        return len(self._slots)

    def position_of(self, member: str) -> int:
        return self._position[member]

    def copy(self) -> Roster:
        twin = Roster()
        twin._slots, twin._position = self._slots.copy(), self._position.copy()
        return twin

    def __contains__(self, member: object) -> bool:
        return member in self._position

    def __iter__(self) -> Iterator[str]:
        return (member for _, member in self.read(0))

    def __len__(self) -> int:
        return len(self._position)


@dataclass
class Population:
    """Objects, the order they came in, and the edges between groups and members."""

    objects: dict[str, DirectoryObject] = field(default_factory=dict)
    rosters: dict[str, Roster] = field(default_factory=lambda: {"user": Roster(), "group": Roster()})
    members: dict[str, Roster] = field(default_factory=dict)
    member_of: dict[str, set[str]] = field(default_factory=dict)
    former_members: dict[str, dict[str, None]] = field(default_factory=dict)

    @property
    def users(self) -> Roster:
        return self.rosters["user"]

    @property
    def groups(self) -> Roster:
        return self.rosters["group"]

    def copy(self) -> Population:
        """Return a population that goes its own way; the immutable object versions are shared."""
        return Population(
            objects=self.objects.copy(),
            rosters={kind: roster.copy() for kind, roster in self.rosters.items()},
            members={group: roster.copy() for group, roster in self.members.items()},
            member_of={member: groups.copy() for member, groups in self.member_of.items()},
            former_members={group: former.copy() for group, former in self.former_members.items()},
        )

    def apply(self, change: Change) -> None:
        """Go one change further."""
        if change.version is not None:
            self.put(change.version)
        if change.edge is not None:
            if change.edge.added:
                self.link(change.object_id, change.edge.member_id)
            else:
                self.unlink(change.object_id, change.edge.member_id)

    def put(self, version: DirectoryObject) -> None:
        """Store a version of an object; a purged one loses its place and all its edges."""
        self.objects[version.id] = version
        roster = self.rosters.setdefault(version.type, Roster())
        if version.status != "purged":
            roster.add(version.id)
            return
        roster.discard(version.id)
        for group_id in self.member_of.pop(version.id, set()):
            self.members[group_id].discard(version.id)
        for member_id in self.members.pop(version.id, Roster()):
            self.member_of.get(member_id, set()).discard(version.id)

    def link(self, group_id: str, member_id: str) -> None:
        self.members.setdefault(group_id, Roster()).add(member_id)
        self.member_of.setdefault(member_id, set()).add(group_id)
        self.former_members.get(group_id, {}).pop(member_id, None)

    def unlink(self, group_id: str, member_id: str) -> None:
        self.members.setdefault(group_id, Roster()).discard(member_id)
        self.member_of.get(member_id, set()).discard(group_id)
        former = self.former_members.setdefault(group_id, {})
        former[member_id] = None
        if len(former) > REMEMBERED_FORMER_MEMBERS:
            del former[next(iter(former))]

    def live(self, object_id: str, kind: str | None = None) -> DirectoryObject | None:
        """Return a live object of that type (any type when None), or None."""
        found = self.objects.get(object_id)
        if found is None or found.status != "live" or (kind is not None and found.type != kind):
            return None
        return found

    def live_members(self, group_id: str, position: int = 0) -> Iterator[tuple[int, DirectoryObject]]:
        """Yield (position, member) of the direct members that are not in the recycle bin."""
        for at, member_id in self.members.get(group_id, Roster()).read(position):
            member = self.live(member_id)
            if member is not None:
                yield at, member
