"""A figure: what was measured, how much it varied, what it was compared with, and whether it is as good as wanted."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Effort(StrEnum):
    """How much is measured."""

    QUICK = "quick"
    """Few repetitions of the smallest sizes: an impression, whose figures are written nowhere."""
    ORDINARY = "ordinary"
    FULL = "full"
    """Everything, also what takes an hour."""


class Bound(StrEnum):
    """On which side of an aim a figure has to be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True)
class Aim:
    """What is wanted of a figure, in its unit."""

    bound: Bound
    value: float

    def __str__(self) -> str:
        return f"{self.bound} {self.value:g}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        bound, _, value = text.rpartition(" ")
        return cls(Bound(bound), float(value))

    def is_met_by(self, value: float) -> bool:
        return value >= self.value if self.bound is Bound.AT_LEAST else value <= self.value


def at_least(value: float) -> Aim:
    return Aim(Bound.AT_LEAST, value)


def at_most(value: float) -> Aim:
    return Aim(Bound.AT_MOST, value)


@dataclass(frozen=True)
class Figure:
    """The median of the repetitions; `spread` is the smallest and the largest of them.

    `name` is unique and says first of which benchmark it is: ``webhook: requests a second over 16 connections``.
    """

    name: str
    unit: str
    value: float
    spread: tuple[float, float]
    against: str
    aim: Aim | None = None

    @classmethod
    def of(cls, name: str, unit: str, samples: Sequence[float], *, against: str, aim: Aim | None = None) -> Self:
        """Return the figure that `samples` amount to, with three digits: no more of it would come again."""
        spread = (_rounded(min(samples)), _rounded(max(samples)))
        return cls(name, unit, _rounded(statistics.median(samples)), spread, against, aim)

    @property
    def benchmark(self) -> str:
        return self.name.partition(": ")[0]

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None without one."""
        return None if self.aim is None else self.aim.is_met_by(self.value)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "value": self.value,
            "spread": list(self.spread),
            "aim": None if self.aim is None else str(self.aim),
            "met": self.met,
            "against": self.against,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        low, high = fields["spread"]
        aim = None if fields["aim"] is None else Aim.from_text(fields["aim"])
        return cls(fields["name"], fields["unit"], fields["value"], (low, high), fields["against"], aim)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
