"""The time, as an argument: code that needs it takes a `Clock`, so that a test can choose it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present time, aware, in UTC."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds, e.g. ``2026-03-02T08:15:30.123456Z``."""
    # Not strftime: it writes the year 1, which Microsoft uses for "never", with one digit.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_text(text: str) -> datetime:
    """Read an RFC 3339 time with ``Z`` or an offset and any number of fractional digits (Graph sends 3 to 7).

    Raises:
        ValueError: the text is no such time, or has no zone.
    """
    moment = datetime.fromisoformat(text)  # since Python 3.11 it cuts a 7th digit by itself
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {text!r}")
    return moment.astimezone(UTC)
