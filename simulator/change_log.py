"""What was changed, in order: the one list that delta queries, notifications and the control API all read.

Entries are never altered. Sequence numbers start at 1 and have no gaps.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.population import DirectoryObject

_sequence = attrgetter("sequence")


@dataclass(frozen=True, slots=True)
class Edge:
    """A member that joined or left a group."""

    member_id: str
    member_type: str
    added: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One write.

    Attributes:
        sequence: Position in the log.
        at: Simulated epoch seconds of the write.
        wall: Real epoch seconds of the write.
        kind: A word such as `user.created`.
        summary: One sentence for people.
        object_type: `user` or `group`: whose delta stream shows it.
        object_id: The user or group.
        version: The object after the write; None when only an edge changed.
        properties: Names of the properties and relations that changed.
        edge: The membership that changed, if any.
        appears: True when the object is new or came back, so that delta shows it whole.
    """

    sequence: int
    at: float
    wall: float
    kind: str
    summary: str
    object_type: str
    object_id: str
    version: DirectoryObject | None = None
    properties: frozenset[str] = frozenset()
    edge: Edge | None = None
    appears: bool = False

    @property
    def is_lifecycle(self) -> bool:
        """Whether the object came, went or came back: shown whatever properties a reader tracks."""
        return self.appears or (self.version is not None and self.version.status != "live")

    def as_json(self) -> dict[str, Any]:
        """Return the form of the control API."""
        body: dict[str, Any] = {
            "seq": self.sequence,
            "at": self.wall,
            "kind": self.kind,
            "object_id": self.object_id,
            "summary": self.summary,
        }
        if self.edge is not None:
            body["member_id"] = self.edge.member_id
        return body


class ChangeLog:
    """All changes, and the same changes by the delta stream that shows them."""

    def __init__(self) -> None:
        self.entries: list[Change] = []
        self.acknowledged: set[int] = set()
        """Sequence numbers of changes of which an endpoint has taken a notification."""
        self._streams: dict[str, list[Change]] = {"user": [], "group": []}

    @property
    def head(self) -> int:
        """The sequence number of the latest change, 0 when there is none."""
        return len(self.entries)

    def append(self, change: Change) -> None:
        """Add a change whose sequence number is `head + 1`."""
        self.entries.append(change)
        self._streams[change.object_type].append(change)

    def after(self, sequence: int) -> list[Change]:
        """Return everything younger than a sequence number."""
        return self.entries[sequence:]

    def stream(self, object_type: str, after: int) -> tuple[list[Change], int]:
        """Return a stream's whole list and the index in it of the first change younger than `after`."""
        entries = self._streams[object_type]
        return entries, bisect_right(entries, after, key=_sequence)
