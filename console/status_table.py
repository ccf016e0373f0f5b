"""Tenants of `entra-sms status` as a line each."""

from __future__ import annotations

from collections.abc import Sequence

from console import output, state_word, times
from console.condition import Condition

HEADINGS = ("TENANT", "PEOPLE", "NO NUMBER", "GROUPS", "READ", "LAG", "STATE")
RIGHT = ("PEOPLE", "NO NUMBER", "GROUPS", "LAG")
WHOLE = ("READ", "STATE")


def show(conditions: Sequence[Condition]) -> None:
    """Print the table."""
    output.table(HEADINGS, [cells(one) for one in conditions], right=RIGHT, whole=WHOLE)


def cells(one: Condition) -> tuple[object, ...]:
    """Return the line of a tenant, a value for each of `HEADINGS`."""
    size, lag_seconds = one.size, one.lag_seconds
    counts = (
        (output.number(size.people), output.number(size.people - size.reachable), output.number(size.groups))
        if size is not None
        else (None, None, None)
    )
    read = times.ago(one.read_at, one.now) if one.read_at is not None else "not yet"
    lag = times.lag(lag_seconds) if lag_seconds is not None else None
    return (one.tenant.name, *counts, read, lag, state_word.of_condition(one))
