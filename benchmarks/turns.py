"""Arms that are compared take turns, each time beginning with another: what disturbs one disturbs all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

Arm = TypeVar("Arm")
T = TypeVar("T")


def take_turns(arms: Mapping[Arm, Callable[[], T]], repetitions: int) -> dict[Arm, list[T]]:
    """Call each arm `repetitions` times and return what it returned; the same place in two lists is the same turn."""
    found: dict[Arm, list[T]] = {name: [] for name in arms}
    order = list(arms)
    for _ in range(repetitions):
        for name in order:
            found[name].append(arms[name]())
        order = order[1:] + order[:1]
    return found


def ratios(those: list[float], of: list[float]) -> list[float]:
    """Return how many times `of` each of `those` was, turn by turn."""
    return [one / other for one, other in zip(those, of, strict=True)]
