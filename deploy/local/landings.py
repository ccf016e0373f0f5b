"""When does a change of the directory land in the book? From the simulator's log and the feed of changes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, create_engine, text

from deploy.local.control import Control

_FEED = text(
    "SELECT sequence, kind, object_id, member_id FROM changes WHERE sequence > :after AND tenant_id = :tenant "
    "ORDER BY sequence"
)
_HEAD = text("SELECT COALESCE(MAX(sequence), 0) FROM changes WHERE tenant_id = :tenant")

KINDS = {
    "user.created": "contact.added",
    "user.restored": "contact.added",
    "user.removed": "contact.removed",
    "user.purged": "contact.removed",
    "group.created": "group.added",
    "group.restored": "group.added",
    "group.removed": "group.removed",
    "group.purged": "group.removed",
    "member.added": "membership.added",
    "member.removed": "membership.removed",
}
"""What a change of the directory becomes in the feed; every other change of a user or group becomes `*.changed`."""

_SYNCED = re.compile(r": .*\b(displayName|givenName|surname|mail|userPrincipalName|usageLocation|userType)\b")
_UNSURE = frozenset({"user.changed", "group.changed", "user.manager_changed"})
"""Changes of these kinds land only if they are of a property that is synced; their sentence names it."""

_FORGOTTEN_AFTER_SECONDS = 60.0

Key = tuple[str, str, str | None]


@dataclass(frozen=True)
class Landing:
    """A change that is in the book: the sentence about it, and how long it took from the directory to the row."""

    summary: str
    kind: str
    latency_seconds: float


class Landings:
    """Watches both sides; what never lands (properties that nobody syncs) is forgotten after a while."""

    def __init__(self, control: Control, database_url: str) -> None:
        self._control = control
        self._engine: Engine = create_engine(database_url)
        self._awaited: dict[Key, list[dict[str, Any]]] = {}
        self._sequence = 0
        self._feed_sequence = 0
        self.made = 0

    def skip_past(self) -> None:
        """Look only at what happens from now on."""
        past = self._control.changes_after(0)
        self._sequence = past[-1]["seq"] if past else 0
        with self._engine.connect() as connection:
            self._feed_sequence = int(connection.execute(_HEAD, self._tenant()).scalar_one())

    def look(self) -> Iterator[Landing]:
        """Yield what has landed since the last look; look often, since a landing counts when it is seen."""
        rows = self._new_rows()
        seen_at = time.time()
        self._await_new_changes()
        for row in rows:
            key = (row.kind, str(row.object_id), str(row.member_id) if row.member_id else None)
            for change in self._awaited.pop(key, []):
                yield Landing(change["summary"], change["kind"], max(0.0, seen_at - change["at"]))
        self._forget_old(seen_at)

    def close(self) -> None:
        self._engine.dispose()

    def _new_rows(self) -> list[Any]:
        with self._engine.connect() as connection:
            rows = list(connection.execute(_FEED, {"after": self._feed_sequence, **self._tenant()}))
        if rows:
            self._feed_sequence = rows[-1].sequence
        return rows

    def _await_new_changes(self) -> None:
        for change in self._control.changes_after(self._sequence):
            self._sequence = change["seq"]
            self.made += 1
            if change["kind"] in _UNSURE and not _SYNCED.search(change["summary"]):
                continue
            noun = "contact" if change["kind"].startswith("user.") else "group"
            kind = KINDS.get(change["kind"], f"{noun}.changed")
            key = (kind, change["object_id"], change.get("member_id"))
            self._awaited.setdefault(key, []).append(change)

    def _forget_old(self, now: float) -> None:
        old = [key for key, changes in self._awaited.items() if now - changes[-1]["at"] > _FORGOTTEN_AFTER_SECONDS]
        for key in old:
            del self._awaited[key]

    def _tenant(self) -> dict[str, str]:
        return {"tenant": self._control.tenant_id}


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of `values` lie; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
