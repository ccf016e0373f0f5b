"""What is said of a hold: why it is there, what is applied meanwhile, how it ended, what to type."""

from __future__ import annotations

from common.messages import Mode, Stream
from console import times
from console.output import number, shown
from console.reads.holds import Hold

OUTCOMES = {
    "approved": "approved",
    "rejected": "rejected",
    "returned": "all are back",
}


def command(verb: str, hold: Hold) -> str:
    """Return what to type, e.g. ``entra-sms holds show 3``."""
    return f"entra-sms holds {verb} {hold.hold_id}"


def warning(hold: Hold) -> str:
    """Return what somebody has to know who thinks that everything is done."""
    are, were = ("is", "was") if hold.held == 1 else ("are", "were")
    return (
        f"{hold.things(hold.held)} of {shown(hold.tenant_name)} {are} not in the directory any more, but {were} not "
        f"removed. {_limit(hold)} Look at them: {command('show', hold)}"
    )


def trouble(hold: Hold) -> str:
    """Return the same for a list of troubles."""
    wait = "1 removal waits" if hold.held == 1 else f"{number(hold.held)} removals wait"
    return f"{hold.stream}: {wait} for a decision since {times.moment(hold.began_at)}: {command('show', hold)}"


def cause(hold: Hold) -> str:
    """Return in a few words which round wanted to remove too many."""
    kind = "full sync" if hold.mode is Mode.FULL else "changes"
    return f"{kind} ({shown(hold.reason).replace('_', ' ')})"


def what_happened(hold: Hold) -> str:
    """Return why there is a hold, in plain sentences."""
    seen = (
        "A full sync did not see them in the directory"
        if hold.mode is Mode.FULL
        else "The directory said that they are removed"
    )
    if hold.mode is Mode.FULL and hold.last_noted_at is not None and hold.last_noted_at > hold.began_at:
        seen += ", or it said later that they are removed"
    return f"{seen}. {_limit(hold)}"


def meanwhile(hold: Hold) -> str:
    """Return what is applied while nobody has decided, and what is not."""
    if hold.stream is Stream.USERS:
        return (
            "Nobody of these is removed, and nobody else either. New people, changes and memberships go on. Whoever is "
            "in the directory again is no longer held."
        )
    return (
        "None of these groups is removed, and no other either. New groups, changes and memberships go on. A group that "
        "is in the directory again is no longer held."
    )


def outcome(hold: Hold) -> str:
    return OUTCOMES.get(hold.outcome or "", shown(hold.outcome))


def _limit(hold: Hold) -> str:
    before = f"; {number(hold.removed_before)} had left before" if hold.removed_before else ""
    most = number(hold.removal_limit) if hold.removal_limit else "none"
    return f"Of {hold.things(hold.book_size)} {most} may leave within a day unasked{before}."
