"""How far a clock elsewhere is from this machine's, and when that matters."""

from __future__ import annotations

import math

from console import times
from console.finding import Finding, fine, trouble, warning

WARNING_SECONDS = 60.0
REFUSED_SECONDS = 300.0
"""Entra refuses what was signed that long ago, or is of the future."""
SET_IT = "Let a time service (NTP) set the clock."


def judge(name: str, whose: str, ahead_seconds: float, *, refused_seconds: float = math.inf) -> Finding:
    """Judge that the clock here is `ahead_seconds` before (or, if negative, behind) that of `whose`."""
    off_seconds = abs(ahead_seconds)
    if off_seconds < WARNING_SECONDS:
        return fine(name, f"The clock here agrees with {whose}.")
    direction = "ahead of" if ahead_seconds > 0 else "behind"
    text = f"The clock here is {times.span(off_seconds)} {direction} {whose}."
    return warning(name, text, SET_IT) if off_seconds < refused_seconds else trouble(name, text, SET_IT)
