"""The directory of one tenant as its administrators write to it: the truth, checked and logged.

Every write becomes exactly one change in the log (a purge with documented membership removal becomes several) and is
told to the listeners, in order, while the lock is held; listeners must not block.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from simulator import narration
from simulator.change_log import Change, ChangeLog, Edge
from simulator.clock import Clock, timestamp
from simulator.population import DirectoryObject, Population, Status
from simulator.schema import SCHEMAS

RECYCLE_BIN_SECONDS = 30 * 86_400.0


class NoSuchObjectError(LookupError):
    """The id names nothing that the operation could apply to."""


class ConflictError(ValueError):
    """The operation contradicts what the directory holds."""


Listener = Callable[[Change], None]


class Directory:
    """Users, groups and memberships of one tenant."""

    def __init__(
        self,
        truth: Population,
        log: ChangeLog,
        clock: Clock,
        *,
        lock: threading.RLock,
        ids: random.Random,
        option: Callable[[str], Any],
    ) -> None:
        self.truth = truth
        self._log = log
        self._clock = clock
        self._lock = lock
        self._ids = ids
        self._option = option
        self._owner_of_name = {_principal_name(truth.objects[user_id]): user_id for user_id in truth.users}
        self.listeners: list[Listener] = []

    # Objects

    def create(self, kind: str, properties: Mapping[str, Any]) -> DirectoryObject:
        """Add a user or group.

        Raises:
            ValueError: A property does not exist, has a wrong value, or a required one is missing.
            ConflictError: The userPrincipalName is taken.
        """
        with self._lock:
            values, manager = self._checked(kind, properties)
            values = {"createdDateTime": timestamp(self._clock.wall()), **values}
            self._require(kind, values)
            created = DirectoryObject(self._new_id(), kind, values, manager=manager)
            self._record(created, "created", appears=True)
            return created

    def update(self, kind: str, object_id: str, properties: Mapping[str, Any]) -> DirectoryObject:
        """Set some properties of a live user or group; None clears one. Without a difference nothing is logged."""
        with self._lock:
            before = self._live(object_id, kind)
            values, manager = self._checked(kind, properties, before)
            merged = {**before.properties, **values}
            changed = {name for name in values if before.properties.get(name) != values[name]}
            former = before.former_manager
            if manager != before.manager:
                changed.add("manager")
                former = before.manager
            if not changed:
                return before
            after = DirectoryObject(object_id, kind, merged, manager=manager, former_manager=former)
            tell = narration.user_update if kind == "user" else narration.group_update
            title = tell(before, after, changed)
            self._commit(kind, object_id, title, version=after, properties=frozenset(changed))
            return after

    def remove(self, kind: str, object_id: str) -> None:
        """Move an object to the recycle bin; kinds of groups that have none are purged at once."""
        with self._lock:
            found = self._live(object_id, kind)
            if not self._has_recycle_bin(found):
                self._purge(found)
                return
            stamp = {"deletedDateTime": timestamp(self._clock.wall())}
            if kind == "user":
                # The service frees the name for others while the person is in the bin.
                stamp["userPrincipalName"] = found.id.replace("-", "") + str(found.properties["userPrincipalName"])
            self._record(self._with(found, {**found.properties, **stamp}, "deleted"), "removed")

    def restore(self, kind: str, object_id: str) -> DirectoryObject:
        """Bring an object back from the recycle bin, with the memberships it had."""
        with self._lock:
            found = self._in_bin(object_id, kind)
            values = {name: value for name, value in found.properties.items() if name != "deletedDateTime"}
            if kind == "user":
                values["userPrincipalName"] = values["userPrincipalName"].removeprefix(found.id.replace("-", ""))
                self._require_free(values["userPrincipalName"], found.id)
            restored = self._with(found, values, "live")
            self._record(restored, "restored", appears=True)
            return restored

    def purge(self, kind: str, object_id: str) -> None:
        """Delete for good, from the recycle bin or straight away."""
        with self._lock:
            found = self.truth.objects.get(object_id)
            if found is None or found.type != kind or found.status == "purged":
                raise NoSuchObjectError(f"There is no {kind} {object_id}.")
            self._purge(found)

    # Memberships

    def add_member(self, group_id: str, member_id: str) -> None:
        """Let an object of any type join a group; ConflictError when it is a member already."""
        with self._lock:
            group, member = self._live(group_id, "group"), self._live(member_id)
            if group_id == member_id:
                raise ConflictError("A group cannot be a member of itself.")
            if member_id in self.truth.members.get(group_id, ()):
                raise ConflictError(f"{member.name} is a member of {group.name} already.")
            self._record_edge(group, member, added=True)

    def remove_member(self, group_id: str, member_id: str) -> None:
        """Let an object leave a group; NoSuchObjectError when it is no member."""
        with self._lock:
            group = self._live(group_id, "group")
            member = self.truth.objects.get(member_id)
            if member is None or member_id not in self.truth.members.get(group_id, ()):
                raise NoSuchObjectError(f"{member_id} is no member of {group.name}.")
            self._record_edge(group, member, added=False)

    def expire(self, version: DirectoryObject) -> None:
        """Purge an object whose 30 days in the recycle bin are over, if it is still there since that deletion."""
        with self._lock:
            if version.status == "deleted" and self.truth.objects.get(version.id) is version:
                self._purge(version)

    # Inside

    def _checked(
        self, kind: str, properties: Mapping[str, Any], before: DirectoryObject | None = None
    ) -> tuple[dict[str, Any], str | None]:
        values = dict(properties)
        manager = before.manager if before else None
        if kind == "user" and "manager" in values:
            manager = values.pop("manager")
            if manager is not None:
                self._live(str(manager), "user")
        SCHEMAS[kind].check(values)
        if "deletedDateTime" in values:
            raise ValueError("deletedDateTime is set by deleting and restoring.")
        for name in ("displayName", "userPrincipalName", "accountEnabled"):
            if name in values and values[name] in (None, ""):
                raise ValueError(f"{name} cannot be empty.")
        if "userPrincipalName" in values:
            self._require_free(values["userPrincipalName"], before.id if before else None)
        return values, manager

    def _require(self, kind: str, values: Mapping[str, Any]) -> None:
        required = ("displayName", "userPrincipalName") if kind == "user" else ("displayName",)
        for name in required:
            if not values.get(name):
                raise ValueError(f"A new {kind} needs {name}.")

    def _require_free(self, principal_name: str, owner: str | None) -> None:
        if self._owner_of_name.get(principal_name.lower(), owner) != owner:
            raise ConflictError(f"Another user has the userPrincipalName {principal_name}.")

    def _remember_name(self, before: DirectoryObject | None, after: DirectoryObject) -> None:
        if before is not None:
            self._owner_of_name.pop(_principal_name(before), None)
        if after.status != "purged":
            self._owner_of_name[_principal_name(after)] = after.id

    def _has_recycle_bin(self, found: DirectoryObject) -> bool:
        if found.type == "user" or "Unified" in (found.properties.get("groupTypes") or ()):
            return True
        return bool(found.properties.get("securityEnabled")) and bool(self._option("security_groups_have_recycle_bin"))

    def _purge(self, found: DirectoryObject) -> None:
        if self._option("purge_removes_memberships_in_delta"):
            for group_id in sorted(self.truth.member_of.get(found.id, ())):
                if group := self.truth.live(group_id, "group"):
                    self._record_edge(group, found, added=False)
        kept = {
            name: found.properties[name] for name in ("displayName", "userPrincipalName") if name in found.properties
        }
        self._record(self._with(found, kept, "purged"), "purged")

    def _record(self, version: DirectoryObject, event: str, *, appears: bool = False) -> None:
        title = narration.came_or_went(version, event)
        self._commit(
            version.type,
            version.id,
            title,
            version=version,
            properties=frozenset(version.properties),
            appears=appears,
        )

    def _record_edge(self, group: DirectoryObject, member: DirectoryObject, *, added: bool) -> None:
        title = narration.membership(group, member, added=added)
        edge = Edge(member.id, member.type, added=added)
        self._commit("group", group.id, title, edge=edge, properties=frozenset({"members"}))

    def _commit(self, object_type: str, object_id: str, title: tuple[str, str], **what: Any) -> None:
        kind, summary = title
        change = Change(
            sequence=self._log.head + 1,
            at=self._clock.now(),
            wall=self._clock.wall(),
            kind=kind,
            summary=summary,
            object_type=object_type,
            object_id=object_id,
            **what,
        )
        if change.version is not None and object_type == "user":
            self._remember_name(self.truth.objects.get(object_id), change.version)
        self._log.append(change)
        self.truth.apply(change)
        for listener in self.listeners:
            listener(change)

    def _live(self, object_id: str, kind: str | None = None) -> DirectoryObject:
        found = self.truth.live(object_id, kind)
        if found is None:
            raise NoSuchObjectError(f"There is no {kind or 'object'} {object_id}.")
        return found

    def _in_bin(self, object_id: str, kind: str) -> DirectoryObject:
        found = self.truth.objects.get(object_id)
        if found is None or found.type != kind or found.status != "deleted":
            raise NoSuchObjectError(f"There is no {kind} {object_id} in the recycle bin.")
        return found

    def _with(self, found: DirectoryObject, values: Mapping[str, Any], status: Status) -> DirectoryObject:
        return DirectoryObject(found.id, found.type, values, status, found.manager, found.former_manager)

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._ids.getrandbits(128), version=4))


def _principal_name(user: DirectoryObject) -> str:
    return str(user.properties["userPrincipalName"]).lower()
