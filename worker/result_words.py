"""Results in one sentence each, for people who read them in RabbitMQ's management pages or in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import RowMapping

COUNTS = ("pages", "objects", "added", "changed", "removed")
"""What is counted of a round, and of a part of a command."""

NOTES_TOLD = 3


def of_round(tenant: str, row: Mapping[str, Any], seconds: float) -> str:
    """Return what a full round did, e.g. ``Contoso: all users were read in 12 s (operator): 998 objects, …``."""
    reason = str(row["reason"]).replace("_", " ")
    return f"{tenant}: all {row['stream']} were read in {_span(seconds)} ({reason}): {_counts(row)}."


def of_hold(tenant: str, stream: str, hold_id: int, held: int) -> str:
    """Return that removals wait for a decision, and what to type."""
    what = "1 removal waits" if held == 1 else f"{held:,} removals wait"
    return (
        f"{tenant}, {stream}: {what} for a decision, since they are more than may leave in a day unasked. "
        f"Look at them: entra-sms holds show {hold_id}"
    )


def of_command(command: RowMapping, parts: Sequence[Any], held: Sequence[int], seconds: float) -> str:
    """Return what came of a command; `parts` are rows of `command_parts` with the tenant's `name`.

    `held` are the numbers of the open holds of what it was about.
    """
    if command["problem"] is not None:
        right = f" Right is for example: {command['note']}" if command["note"] else ""
        return f"Refused. {command['problem']}{right}"
    asked = f"{command['asked'].get('command', 'command')} of {_whose(command, parts)}"
    failed = [part for part in parts if part.error is not None]
    if failed:
        first = failed[0]
        if len(parts) == 1:
            return f"{asked} failed: {first.error}"
        more = f" And {len(failed) - 1} more." if len(failed) > 1 else ""
        return f"{asked} failed in {len(failed)} of {len(parts)} parts. {first.name}, {first.part}: {first.error}{more}"
    notes = [command["note"], *dict.fromkeys(part.note for part in parts)]
    told = [one for one in notes if one]
    if told:
        more = " …" if len(told) > NOTES_TOLD else ""
        return f"{asked}: {' '.join(told[:NOTES_TOLD])}{more}"
    if not parts:
        return f"{asked}: there was nothing to do."
    total = {count: sum(getattr(part, count) for part in parts) for count in COUNTS}
    but = f" Removals are held: entra-sms holds show {held[0]}" if held else ""
    return f"{asked} was done in {_span(seconds)}: {_counts(total)}.{but}"


def _whose(command: RowMapping, parts: Sequence[Any]) -> str:
    names = list(dict.fromkeys(part.name for part in parts))
    if len(names) == 1:
        return str(names[0])
    if len(names) > 1:
        return f"{len(names)} tenants"
    return "all tenants" if command["asked"].get("tenant") == "*" else str(command["asked"].get("tenant", "nobody"))


def _counts(row: Mapping[str, Any]) -> str:
    objects, pages = _plural(row["objects"], "object"), _plural(row["pages"], "page")
    return f"{objects} on {pages}; {row['added']:,} added, {row['changed']:,} changed, {row['removed']:,} removed"


def _plural(count: int, one: str) -> str:
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
