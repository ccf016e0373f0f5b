"""Times and spans as people read them."""

from __future__ import annotations

from datetime import datetime

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def moment(at: datetime) -> str:
    """Return a time of this machine's zone, e.g. ``2026-03-02 09:15:30``."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def minute(at: datetime) -> str:
    """Return the same without the seconds."""
    return moment(at)[:-3]


def span(seconds: float) -> str:
    """Return a span in the unit that fits: ``12 s``, ``3 min``, ``5 h``, ``8 days``."""
    seconds = max(0.0, seconds)
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.0f} h" if seconds < 2 * DAY else f"{seconds / DAY:.0f} days"


def lag(seconds: float) -> str:
    """Return a span of which tenths of a second matter as long as it is short: ``0.4 s``, ``12 s``, ``3 min``."""
    return f"{seconds:.1f} s" if seconds < 9.95 else span(seconds)


def ago(at: datetime, now: datetime) -> str:
    return f"{span((now - at).total_seconds())} ago"


def until(at: datetime, now: datetime) -> str:
    return f"in {span((at - now).total_seconds())}"
