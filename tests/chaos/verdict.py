"""What was lost, wrongly removed or stayed: told by the directory, its log, the book and its feed, not by the worker.

Pure functions of what was read from both sides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from deploy.local.comparison import Book

GONE = ("user.removed", "user.purged")
CAME = ("user.created", "user.restored")


@dataclass(frozen=True)
class Removal:
    """A `contact.removed` or `contact.added` of the feed; `at` is in epoch seconds."""

    object_id: str
    at: float
    removed: bool


@dataclass(frozen=True)
class Verdict:
    """Object ids by what is wrong with them."""

    differing: list[str]
    lost: list[str]
    wrongly_removed: list[str]
    stayed: list[str]

    @property
    def is_clean(self) -> bool:
        return not (self.differing or self.lost or self.wrongly_removed or self.stayed)


def verdict(
    expected: Book, actual: Book, log: Sequence[Mapping[str, Any]], feed: Iterable[Removal], founders: Collection[str]
) -> Verdict:
    """Judge a run.

    Args:
        expected: The directory at the end.
        actual: The book at the end.
        log: All changes of the directory, in order, as the simulator's control API lists them.
        feed: All comings and goings of contacts, in order.
        founders: Ids of the people whom the directory had before the first change.
    """
    differing = differing_ids(expected, actual)
    acknowledged = {change["object_id"]: change["acknowledged"] for change in log}  # the latest of each object counts
    missing = set(expected.people) - set(actual.people)
    known = set(founders) | {change["object_id"] for change in log}
    feed = list(feed)
    never = {one.object_id for one in feed if not one.removed and one.object_id not in known}
    return Verdict(
        differing=sorted(differing),
        lost=sorted(one for one in differing if acknowledged.get(one)),
        wrongly_removed=sorted(missing | unfounded_removals(log, feed, founders)),
        stayed=sorted(
            (set(actual.people) - set(expected.people)) | (set(actual.groups) - set(expected.groups)) | never
        ),
    )


def differing_ids(expected: Book, actual: Book) -> set[str]:
    """Return the people and groups that the two sides show differently; of an edge, the group."""
    ids = {group_id for group_id, _ in expected.edges ^ actual.edges}
    for one, other in ((expected.people, actual.people), (expected.groups, actual.groups)):
        ids |= {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
    return ids


def unfounded_removals(
    log: Sequence[Mapping[str, Any]], feed: Iterable[Removal], founders: Collection[str]
) -> set[str]:
    """Return whom the book removed although the directory did not have them removed.

    The book follows with a delay, so somebody who was restored meanwhile may still be removed, once: at some moment
    since the book took them in, the directory must have had them removed.
    """
    absences = _absences(log, founders)
    taken_in: dict[str, float] = {}
    unfounded = set()
    for one in feed:
        if not one.removed:
            taken_in[one.object_id] = one.at
            continue
        since = taken_in.get(one.object_id, -inf)
        if not any(begin <= one.at and end >= since for begin, end in absences.get(one.object_id, [])):
            unfounded.add(one.object_id)
    return unfounded


def _absences(log: Sequence[Mapping[str, Any]], founders: Collection[str]) -> dict[str, list[tuple[float, float]]]:
    """Return for each person when the directory did not have them, in wall time; before they came is an absence too."""
    absences: dict[str, list[tuple[float, float]]] = {}
    for change in log:
        object_id, kind, at = change["object_id"], change["kind"], change["at"]
        if kind not in GONE + CAME:
            continue
        spans = absences.setdefault(object_id, [] if object_id in founders else [(-inf, inf)])
        if kind in CAME:
            if spans and spans[-1][1] == inf:
                spans[-1] = (spans[-1][0], at)
        elif not spans or spans[-1][1] != inf:
            spans.append((at, inf))
    return absences
