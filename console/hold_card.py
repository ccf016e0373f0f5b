"""A hold as it is shown: a line in a list, on its own with everybody in it, and to programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from common.clock import to_text
from common.messages import Stream
from console import hold_words, output, times
from console.groups import kind_word
from console.output import number, shown
from console.person_card import phone_cell
from console.reads.holds import HeldRemoval, Hold


def show_list(
    found: Sequence[Hold], now: datetime, *, with_ended: bool = False, console: Console | None = None
) -> None:
    """Print a line for each hold: why it is there, or `with_ended`: when and how it ended."""
    rows = [
        (
            hold.hold_id,
            hold.tenant_name,
            hold.stream,
            number(hold.held) if hold.is_open else None,
            number(hold.book_size),
            times.ago(hold.began_at, now),
            _end(hold, now) if with_ended else hold_words.cause(hold),
        )
        for hold in found
    ]
    headings = ("HOLD", "TENANT", "STREAM", "HELD", "OF", "SINCE", "ENDED" if with_ended else "WHY")
    whole = ("STREAM", "SINCE", "ENDED")
    output.table(headings, rows, right=("HOLD", "HELD", "OF"), whole=whole, console=console)


def facts_of(hold: Hold, now: datetime) -> list[tuple[str, str | Text]]:
    """Return what is known of a hold, as names and values."""
    since = f"{times.moment(hold.began_at)}, {times.ago(hold.began_at, now)}"
    facts: list[tuple[str, str | Text]] = [
        ("Hold", Text(str(hold.hold_id), "bold")),
        ("Tenant", shown(hold.tenant_name)),
        ("Stream", hold.stream),
        ("Since", f"{since}, {hold_words.cause(hold)}"),
        ("What happened", hold_words.what_happened(hold)),
    ]
    if hold.ended_at is not None:
        return [*facts, ("Ended", f"{times.moment(hold.ended_at)}: {hold_words.outcome(hold)}")]
    facts += [("Held now", Text(hold.things(hold.held), "bold")), ("Until you decide", hold_words.meanwhile(hold))]
    return [*facts, ("Decided", _decision(hold, now))] if hold.decision else facts


def show_removals(stream: Stream, removals: Sequence[HeldRemoval]) -> None:
    """Print who would leave, a line each."""
    if stream is Stream.USERS:
        people = [(one.number, one.name, phone_cell(one.phone, one.phone_state), one.mail) for one in removals]
        output.table(("NO", "NAME", "NUMBER", "MAIL"), people, right=("NO",))
    else:
        groups = [(one.number, one.name, kind_word(one.kind), one.mail) for one in removals]
        output.table(("NO", "NAME", "KIND", "MAIL"), groups, right=("NO",))


def as_json(hold: Hold, removals: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Return everything for programs; `removals` are pairs of number and object id. Names of fields are kept."""
    return {
        "hold": hold.hold_id,
        "tenant_id": hold.tenant_id,
        "tenant": hold.tenant_name,
        "stream": hold.stream,
        "began_at": to_text(hold.began_at),
        "mode": hold.mode,
        "reason": hold.reason,
        "book_size": hold.book_size,
        "removal_limit": hold.removal_limit,
        "removed_before": hold.removed_before,
        "held": hold.held,
        "last_number": hold.last_number,
        "decision": hold.decision,
        "decided_at": _time(hold.decided_at),
        "decided_up_to": hold.decided_up_to,
        "ended_at": _time(hold.ended_at),
        "outcome": hold.outcome,
        "removals": [{"number": count, "object_id": object_id} for count, object_id in removals],
    }


def _end(hold: Hold, now: datetime) -> str | None:
    return f"{hold_words.outcome(hold)} {times.ago(hold.ended_at, now)}" if hold.ended_at is not None else None


def _decision(hold: Hold, now: datetime) -> str:
    what = "rejected" if hold.decision == "reject" else f"approved up to no. {hold.decided_up_to}"
    when = f", {times.ago(hold.decided_at, now)}" if hold.decided_at is not None else ""
    return f"{what}{when}; a worker carries it out with its next turn"


def _time(moment: datetime | None) -> str | None:
    return to_text(moment) if moment is not None else None
