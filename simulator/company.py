"""What happens in a company: every kind of change, drawn at random from a seed.

Each kind is one method that does something possible in the directory as it is, or answers None.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from simulator import people
from simulator.directory import ConflictError, Directory
from simulator.population import DirectoryObject
from simulator.schema import GROUP, USER
from simulator.seed import group_values

_GROUP_KINDS = ("security", "microsoft365", "distribution", "mail-enabled security")
# Random text would make no sense in these, or they never change in a living directory.
_SPECIAL = {
    "userPrincipalName",
    "createdDateTime",
    "deletedDateTime",
    "mobilePhone",
    "usageLocation",
    "userType",
    "groupTypes",
    "mailEnabled",
}
_NEEDS_OCCASION = {"restore", "purge", "clear", "lose_manager", "enable"}
_UNTRACKED_TEXT = ("aboutMe", "interests", "mySite", "preferredName")
_SEARCHES = 200
# Where chance finds nobody, a directory up to this size is looked through from end to end.
_SMALL = 5_000


class Company:
    """Makes changes in one directory."""

    def __init__(self, directory: Directory, domain: str, source: random.Random) -> None:
        self._directory = directory
        self._domain = domain
        self._source = source
        self._thorough = False
        self.acts: Mapping[str, Callable[[], object | None]] = self._everything()

    def act(self, kind: str) -> bool:
        """Make one change of that kind; False when the directory offers no occasion."""
        try:
            return self.acts[kind]() is not None
        except ConflictError:
            return False

    def act_many(self, count: int) -> dict[str, int]:
        """Make `count` changes: first one of every kind, then any; return how many of each kind."""
        made: Counter[str] = Counter()
        kinds = list(self.acts)
        self._source.shuffle(kinds)
        # What needs an occasion comes after what makes one: somebody has to leave before somebody can come back.
        kinds.sort(key=lambda kind: kind.split(".")[1] in _NEEDS_OCCASION)
        attempts = 0
        while made.total() < count and attempts < 20 * count + 100:
            self._thorough = attempts < len(kinds)
            kind = kinds[attempts] if self._thorough else self._source.choice(kinds)
            made[kind] += self.act(kind)
            attempts += 1
        return {kind: times for kind, times in sorted(made.items()) if times}

    # People

    def hire(self) -> DirectoryObject:
        person = people.draw_person(self._source)
        mail_name = f"{person.mail_name}.{self._source.randrange(10**6)}"
        values: dict[str, Any] = {
            "displayName": person.display_name,
            "givenName": person.given_name,
            "surname": person.surname,
            "userPrincipalName": f"{mail_name}@{self._domain}",
            "mail": f"{mail_name}@{self._domain}",
            "accountEnabled": True,
            "userType": "Member",
            "usageLocation": person.country.code,
            "department": people.draw_department(self._source),
            "businessPhones": [],
        }
        if self._source.random() < 0.85:
            values["mobilePhone"] = people.draw_mobile(self._source, person.country)
        else:
            values["businessPhones"] = [people.draw_landline(self._source, person.country)]
        return self._directory.create("user", values)

    def leave(self) -> DirectoryObject | None:
        return self._each("user", self._remove)

    def return_from_bin(self) -> DirectoryObject | None:
        found = self._any("user", "deleted")
        return self._directory.restore("user", found.id) if found else None

    def change_number(self) -> DirectoryObject | None:
        number = people.draw_mobile(self._source, self._source.choice(people.COUNTRIES))
        return self._update_any("user", {"mobilePhone": number})

    def change_business_number(self) -> DirectoryObject | None:
        number = people.draw_landline(self._source, self._source.choice(people.COUNTRIES))
        return self._update_any("user", {"businessPhones": [number]})

    def spoil_number(self) -> DirectoryObject | None:
        return self._update_any("user", {"mobilePhone": self._source.choice(people.RUBBISH)})

    def rename(self) -> DirectoryObject | None:
        person = people.draw_person(self._source)
        values = {"displayName": person.display_name, "givenName": person.given_name, "surname": person.surname}
        return self._update_any("user", values)

    def move_abroad(self) -> DirectoryObject | None:
        return self._update_any("user", {"usageLocation": self._source.choice(people.COUNTRIES).code})

    def change_principal_name(self) -> DirectoryObject | None:
        name = f"renamed.{self._source.randrange(10**9)}@{self._domain}"
        return self._update_any("user", {"userPrincipalName": name})

    def enable(self) -> DirectoryObject | None:
        return self._switch(enabled=True)

    def disable(self) -> DirectoryObject | None:
        return self._switch(enabled=False)

    def change_manager(self) -> DirectoryObject | None:
        manager = self._any("user")
        return self._update_any("user", {"manager": manager.id}) if manager else None

    def lose_manager(self) -> DirectoryObject | None:
        found = self._any("user", where=lambda user: user.manager is not None)
        return self._directory.update("user", found.id, {"manager": None}) if found else None

    # Groups

    def found_group(self) -> DirectoryObject:
        name = f"{people.draw_department(self._source)} {self._source.choice(('Circle', 'Crew', 'Council'))}"
        kind, number = self._source.choice(_GROUP_KINDS), self._source.randrange(10**6)
        return self._directory.create("group", group_values(name, kind, self._domain, number))

    def dissolve_group(self) -> DirectoryObject | None:
        return self._each("group", self._remove)

    def revive_group(self) -> DirectoryObject | None:
        found = self._any("group", "deleted")
        return self._directory.restore("group", found.id) if found else None

    def rename_group(self) -> DirectoryObject | None:
        return self._update_any("group", {"displayName": f"{people.draw_department(self._source)} (renamed)"})

    def join(self) -> object | None:
        return self._join("user")

    def part(self) -> object | None:
        """Let any member leave any group."""
        group = self._any("group", where=lambda each: bool(self._members(each)))
        if group is None:
            return None
        self._directory.remove_member(group.id, self._source.choice(self._members(group)))
        return group

    def join_and_part(self) -> object | None:
        pair = self._strangers("user")
        if pair is None:
            return None
        self._directory.add_member(pair[0].id, pair[1].id)
        self._directory.remove_member(pair[0].id, pair[1].id)
        return pair

    # The table of kinds

    def _everything(self) -> dict[str, Callable[[], object | None]]:
        acts: dict[str, Callable[[], object | None]] = {
            "user.create": self.hire,
            "user.remove": self.leave,
            "user.restore": self.return_from_bin,
            "user.purge": partial(self._purge, "user", "deleted"),
            "user.purge_at_once": partial(self._purge, "user", "live"),
            "user.enable": self.enable,
            "user.disable": self.disable,
            "user.rename": self.rename,
            "user.change_principal_name": self.change_principal_name,
            "user.change_number": self.change_number,
            "user.change_business_number": self.change_business_number,
            "user.spoil_number": self.spoil_number,
            "user.change_manager": self.change_manager,
            "user.lose_manager": self.lose_manager,
            "group.create": self.found_group,
            "group.remove": self.dissolve_group,
            "group.restore": self.revive_group,
            "group.purge": partial(self._purge, "group", "deleted"),
            "group.rename": self.rename_group,
            "member.add_user": self.join,
            "member.add_group": partial(self._join, "group"),
            "member.add_device": partial(self._join, "device"),
            "member.add_contact": partial(self._join, "orgContact"),
            "member.remove": self.part,
            "member.add_and_remove": self.join_and_part,
        }
        for schema in (USER, GROUP):
            for name, kind in schema.kinds.items():
                if name in _SPECIAL:
                    continue
                acts[f"{schema.type}.set.{name}"] = partial(self._set, schema.type, name, kind)
                if kind != "flag" and name != "displayName":
                    acts[f"{schema.type}.clear.{name}"] = partial(self._clear, schema.type, name)
        acts["user.set.usageLocation"] = self.move_abroad
        acts["user.clear.mobilePhone"] = partial(self._clear, "user", "mobilePhone")
        acts["user.clear.usageLocation"] = partial(self._clear, "user", "usageLocation")
        for name in _UNTRACKED_TEXT:
            acts[f"user.set_untracked.{name}"] = partial(self._set, "user", name, "text")
        return acts

    # Inside

    def _set(self, schema: str, name: str, kind: str) -> DirectoryObject | None:
        number = self._source.randrange(10**6)
        if kind == "flag":
            found = self._any(schema)
            return self._update(found, {name: not found.properties.get(name)}) if found else None
        return self._update_any(schema, {name: [f"{name} {number}"] if kind == "list" else f"{name} {number}"})

    def _clear(self, schema: str, name: str) -> DirectoryObject | None:
        found = self._any(schema, where=lambda each: bool(each.properties.get(name)))
        empty: list[str] | None = [] if isinstance(found and found.properties[name], list) else None
        return self._update(found, {name: empty}) if found else None

    def _switch(self, *, enabled: bool) -> DirectoryObject | None:
        found = self._any("user", where=lambda user: user.properties.get("accountEnabled") is not enabled)
        return self._update(found, {"accountEnabled": enabled}) if found else None

    def _purge(self, kind: str, status: str) -> DirectoryObject | None:
        found = self._any(kind, status)
        if found is not None:
            self._directory.purge(kind, found.id)
        return found

    def _remove(self, found: DirectoryObject) -> None:
        self._directory.remove(found.type, found.id)

    def _each(self, kind: str, action: Callable[[DirectoryObject], None]) -> DirectoryObject | None:
        found = self._any(kind)
        if found is not None:
            action(found)
        return found

    def _join(self, kind: str) -> object | None:
        pair = self._strangers(kind)
        if pair is not None:
            self._directory.add_member(pair[0].id, pair[1].id)
        return pair

    def _strangers(self, kind: str) -> tuple[DirectoryObject, DirectoryObject] | None:
        """Return a group and something of that type that is no member of it."""
        for _ in range(_SEARCHES):
            group, other = self._any("group"), self._any(kind)
            if group and other and other.id not in self._directory.truth.members.get(group.id, ()):
                return group, other
        return None

    def _members(self, group: DirectoryObject) -> list[str]:
        return [member.id for _, member in self._directory.truth.live_members(group.id)]

    def _update_any(self, kind: str, values: Mapping[str, Any]) -> DirectoryObject | None:
        found = self._any(kind)
        return self._update(found, values) if found else None

    def _update(self, found: DirectoryObject, values: Mapping[str, Any]) -> DirectoryObject:
        return self._directory.update(found.type, found.id, values)

    def _any(
        self,
        kind: str,
        status: str = "live",
        where: Callable[[DirectoryObject], bool] = lambda _: True,
    ) -> DirectoryObject | None:
        """Draw an object; where chance finds none, look through a small directory, and give up in a large one."""
        truth = self._directory.truth
        roster = truth.rosters.get(kind)
        if roster is None or not len(roster):
            return None
        for _ in range(_SEARCHES):
            drawn = roster.at(self._source.randrange(roster.extent))
            if drawn is not None and (found := truth.objects[drawn]).status == status and where(found):
                return found
        if roster.extent > _SMALL and not self._thorough:
            return None
        matching = (truth.objects[object_id] for object_id in roster)
        return next((each for each in matching if each.status == status and where(each)), None)
