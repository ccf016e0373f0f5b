"""When a tenant's credential expires, in words, and at which days before its end somebody is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

WARNING_DAYS = (30, 7, 1)
"""So many days before the end it is told, once each."""
URGENT_DAYS = 7
"""From so many days before the end on it is a trouble, and no mere warning."""
DAY = timedelta(days=1)
ADVICE = "Make a new one in the Entra admin center, and give it with: entra-sms tenants credential"


def due_warning(expires_at: datetime, now: datetime) -> int | None:
    """Return which of `WARNING_DAYS` has come, the last one; None before the first, and when it has expired."""
    left = expires_at - now
    come = [days for days in WARNING_DAYS if left <= days * DAY]
    return min(come) if come and left > timedelta(0) else None


def day(expires_at: datetime) -> str:
    """Return the day as Entra shows it."""
    return expires_at.astimezone(UTC).date().isoformat()


def days_left(expires_at: datetime, now: datetime) -> int:
    """Return the days that are left, rounded up: 1 on the last day, 0 or less when it has expired."""
    return -((now - expires_at) // DAY)


def sentence(expires_at: datetime, now: datetime) -> str:
    left = days_left(expires_at, now)
    if left <= 0:
        return f"The credential expired on {day(expires_at)}."
    return f"The credential expires on {day(expires_at)}, in {left} {'day' if left == 1 else 'days'}."
