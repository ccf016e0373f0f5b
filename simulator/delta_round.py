"""One page of a delta round: which objects it shows, and where the next one goes on.

An initial round walks the roster of the directory as it is now, page by page, so different pages show different
moments; its deltaLink starts from the moment the round began, so whatever changed meanwhile comes again in the next
round. An incremental round walks the change log. Neither looks at more of the directory than it shows.

Source: "Use delta query to track changes in Microsoft Graph data", "Get incremental changes for groups".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from simulator import rendering
from simulator.change_log import Change, ChangeLog
from simulator.faults import Faults
from simulator.page_tokens import PageToken
from simulator.population import DirectoryObject, Population
from simulator.schema import SCHEMAS

# With more groups than this half told, no further group is begun.
_MOST_PENDING = 8


@dataclass
class Touch:
    """What a page's stretch of the change log did to one object."""

    properties: set[str] = field(default_factory=set)
    edges: dict[str, tuple[str, bool]] = field(default_factory=dict)
    appears: bool = False

    def add(self, change: Change) -> None:
        self.properties |= change.properties
        self.appears = self.appears or change.appears
        if change.edge is not None:
            # The later word wins, and stands where it was spoken.
            self.edges.pop(change.edge.member_id, None)
            self.edges[change.edge.member_id] = (change.edge.member_type, change.edge.added)


class DeltaRound:
    """Serves pages of the round that a token describes. The caller holds the tenant's lock."""

    def __init__(self, token: PageToken, population: Population, log: ChangeLog, faults: Faults) -> None:
        self._token = token
        self._population = population
        self._log = log
        self._faults = faults
        self._schema = SCHEMAS[token.stream]
        self._names = self._schema.default if token.select is None else token.select
        self._with_members = token.stream == "group" and (token.select is None or "members" in token.select)
        self._page_size = faults.value(f"{self._schema.segment}_page_size")
        self._items: list[dict[str, Any]] = []
        self._edges_left = int(faults.value("members_per_page"))

    def page(self, *, minimal: bool = False) -> tuple[list[dict[str, Any]], PageToken | None]:
        """Return the items of the next page and the token that goes on from it, None when the round is over."""
        if self._token.empties:
            return [], replace(self._token, empties=self._token.empties - 1)
        for object_id in self._token.again:
            if found := self._population.objects.get(object_id):
                self._items.append(self._plain(found))
        rest = self._initial() if self._token.since is None else self._incremental(minimal=minimal)
        return self._items, rest

    # Initial rounds

    def _initial(self) -> PageToken | None:
        pending = self._go_on_with_pending()
        position, shown, more = self._token.position, 0, False
        for at, object_id in self._candidates(position):
            if shown >= self._page_size or self._edges_left <= 0 or len(pending) >= _MOST_PENDING:
                more = True
                break
            position = at + 1
            found = self._population.objects.get(object_id)
            if found is None or not self._show_initially(found):
                continue
            shown += 1
            if found.status == "live" and self._with_members:
                self._tell_members(found, 0, pending)
        if not more and not pending:
            return None
        return replace(self._token, position=position, pending=tuple(pending), again=())

    def _candidates(self, position: int) -> Iterator[tuple[int, str]]:
        if self._token.ids is not None:
            return ((at, self._token.ids[at]) for at in range(position, len(self._token.ids)))
        return self._population.rosters[self._schema.type].read(position)

    def _show_initially(self, found: DirectoryObject) -> bool:
        if found.type != self._schema.type:
            return False
        if found.status == "live":
            if self._faults.hides(found.id):
                return False
            self._items.append(self._plain(found))
            return True
        if found.status == "deleted" and self._faults.value("initial_round_shows_removed"):
            self._faults.count("initial_round_shows_removed")
            self._items.append(rendering.removed(found))
            return True
        return False

    def _plain(self, found: DirectoryObject) -> dict[str, Any]:
        if found.status != "live":
            return rendering.removed(found)
        item = rendering.changed(found, self._names)
        if self._token.select is not None and "manager" in self._token.select and found.manager is not None:
            item["manager@delta"] = rendering.manager(found)
        return item

    def _go_on_with_pending(self) -> list[tuple[int, int]]:
        pending = list(self._token.pending)
        if not pending:
            return pending
        group_position, member_position = pending.pop(0)
        group_id = self._population.groups.at(group_position)
        group = self._population.live(group_id, "group") if group_id else None
        if group is not None:
            self._items.append(self._plain(group))
            self._tell_members(group, member_position, pending)
        return pending

    def _tell_members(self, group: DirectoryObject, start: int, pending: list[tuple[int, int]]) -> None:
        """Put the next slice of members into the item just added; what is left joins the end of the queue."""
        allowed = min(self._edges_left, int(self._faults.value("members_per_group")))
        entries: list[dict[str, Any]] = []
        for at, found in self._population.live_members(group.id, start):
            if len(entries) >= allowed:
                pending.append((self._population.groups.position_of(group.id), at))
                break
            entries.append(rendering.member(found.id, found.type))
        if start == 0:
            entries.extend(self._former_members(group))
        self._edges_left -= len(entries)
        if entries:
            self._items[-1]["members@delta"] = entries

    def _former_members(self, group: DirectoryObject) -> list[dict[str, Any]]:
        former = self._population.former_members.get(group.id, {})
        if not former or not self._faults.value("initial_round_shows_removed_members"):
            return []
        self._faults.count("initial_round_shows_removed_members")
        objects = self._population.objects
        return [rendering.member(past, objects[past].type, gone=True) for past in former if past in objects]

    # Incremental rounds

    def _incremental(self, *, minimal: bool) -> PageToken | None:
        touches: dict[str, Touch] = {}
        entries, index = self._log.stream(self._schema.type, self._token.position)
        position, more = self._token.position, False
        for at in range(index, len(entries)):
            change = entries[at]
            if change.sequence > self._token.until:
                break
            if self._is_tracked(change):
                if self._edges_left <= 0 or (change.object_id not in touches and len(touches) >= self._page_size):
                    more = True
                    break
                touches.setdefault(change.object_id, Touch()).add(change)
                self._edges_left -= change.edge is not None
            position = change.sequence
        for object_id in sorted(touches):
            self._show_touched(self._population.objects[object_id], touches[object_id], minimal=minimal)
        return replace(self._token, position=position, again=()) if more else None

    def _is_tracked(self, change: Change) -> bool:
        if self._token.ids is not None and change.object_id not in self._token.ids:
            return False
        if change.is_lifecycle or not change.properties.isdisjoint(self._names):
            return True
        return "members" in change.properties and self._with_members

    def _show_touched(self, found: DirectoryObject, touch: Touch, *, minimal: bool) -> None:
        if found.status != "live":
            self._items.append(rendering.removed(found))
            return
        whole = touch.appears or not (minimal or self._faults.fires("delta_sparse_updates"))
        names = self._names if whole else [name for name in self._names if name in touch.properties]
        item = rendering.changed(found, names)
        if "manager" in self._names and (touch.appears or "manager" in touch.properties):
            item["manager@delta"] = rendering.manager(found)
            if not item["manager@delta"]:
                del item["manager@delta"]
        if touch.edges and self._with_members:
            item["members@delta"] = [
                rendering.member(member_id, member_type, gone=not added)
                for member_id, (member_type, added) in touch.edges.items()
            ]
        self._items.append(item)
