"""Whether somebody is in the address book, and why; and what may make that out of date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from common.db.tenants import Tenant, TenantState
from common.messages import Stream
from console import hold_words, times
from console.explained_changes import round_in_words
from console.output import plural, shown
from console.reads.advance import Advance
from console.reads.traces import Held, Traces

ERASED = "Names and numbers of people who leave are erased, so only the id is left"
THINGS = {Stream.USERS: "people", Stream.GROUPS: "groups"}


class State(StrEnum):
    """Whether somebody is in the book, in one word."""

    IN_BOOK = "in_book"
    HELD = "held"
    REMOVED = "removed"
    NOTED = "noted"
    LOST = "lost"
    NOT_READ_YET = "not_read_yet"
    NEVER_SEEN = "never_seen"

    @property
    def is_known(self) -> bool:
        """Whether anything is known of the person."""
        return self not in (State.NOT_READ_YET, State.NEVER_SEEN)


@dataclass(frozen=True)
class Presence:
    """Whether somebody is in the book, and why in a sentence."""

    state: State
    reason: str


def presence(
    traces: Traces, users: Advance | None, now: datetime, *, is_in_book: bool, is_limited: bool = False
) -> Presence:
    """Return whether the person is in the book, and why; `is_limited`: not everybody is in the tenant's scope."""
    if not is_in_book:
        return _absence(traces, users, now, is_limited=is_limited)
    if traces.held is not None:
        return Presence(State.HELD, f"yes, but {_held(traces.held)}")
    came = traces.last_passage
    if came is None or came.is_departure:
        return Presence(State.IN_BOOK, "yes")
    return Presence(State.IN_BOOK, f"yes, since {times.moment(came.at)} ({round_in_words(came.reason)})")


def caveats(tenant: Tenant, advances: Mapping[Stream, Advance], now: datetime) -> list[str]:
    """Return, a sentence each, why what the book says may be incomplete or old."""
    found = []
    if tenant.state is TenantState.ACCESS_FAILED:
        reason = shown(tenant.state_reason or "Its access failed.")
        since = times.moment(tenant.state_since)
        found.append(f"The directory cannot be read since {since}, so later changes are not known. {reason}")
    elif tenant.throttled_until is not None and tenant.throttled_until > now:
        found.append(f"Graph asks for a pause; reading goes on {times.until(tenant.throttled_until, now)}.")
    for stream, things in THINGS.items():
        one = advances.get(stream)
        if one is None or one.last_full_at is None:
            so_far = f" ({one.full_objects:,} entries so far)" if one is not None and one.full_objects else ""
            found.append(f"The first sync of the {things} is not complete{so_far}: what is missing may still come.")
        if one is not None and one.failures and tenant.state is not TenantState.ACCESS_FAILED:
            tries = f"the last {one.failures} rounds" if one.failures > 1 else "the last round"
            found.append(f"Of the {things} {tries} failed. {shown(one.last_error or '')}".rstrip(" -"))
    return found


def freshness(advances: Mapping[Stream, Advance], now: datetime) -> str:
    """Return e.g. ``people 4 s ago, groups not yet``."""
    words = []
    for stream, things in THINGS.items():
        one = advances.get(stream)
        read_at = one.last_good_at if one is not None else None
        words.append(f"{things} {times.ago(read_at, now) if read_at is not None else 'not yet'}")
    return ", ".join(words)


def _absence(traces: Traces, users: Advance | None, now: datetime, *, is_limited: bool) -> Presence:
    passage, kept = traces.last_passage, _kept(traces.edges, is_limited=is_limited)
    if traces.read_again_at is not None:
        when = "now" if traces.read_again_at <= now else times.until(traces.read_again_at, now)
        why = "Graph named this id but did not tell enough of it, so the person is read again by itself"
        return Presence(State.NOTED, f"not yet. {why}, {when}.{kept}")
    if passage is not None and passage.is_departure:
        when = f"{times.moment(passage.at)}, {times.ago(passage.at, now)}"
        return Presence(State.REMOVED, f"no: removed {when} ({round_in_words(passage.reason)}). {ERASED}.{kept}")
    if passage is not None:
        return Presence(
            State.LOST,
            f"no, although the person came into it {times.moment(passage.at)} and no change tells of a removal. "
            "A full sync mends it: entra-sms sync --full",
        )
    if users is None or users.last_full_at is None:
        return Presence(
            State.NOT_READ_YET, f"nothing can be said yet: the first sync of the people is not complete.{kept}"
        )
    if is_limited:
        return Presence(
            State.NEVER_SEEN,
            "no: nobody with this id was ever in the tenant's scope, and of others nothing is stored. Graph can be "
            f"asked: --live.{kept}",
        )
    return Presence(State.NEVER_SEEN, f"no: the directory never showed a person with this id.{kept}")


def _kept(edges: int, *, is_limited: bool) -> str:
    if not edges:
        return ""
    case = "of a return, or that the scope admits the person" if is_limited else "of a return"
    return f" {plural(edges, 'membership')} of the id {'is' if edges == 1 else 'are'} kept for the case {case}."


def _held(held: Held) -> str:
    hold = held.hold
    if hold.decision == "reject":
        return f"the directory no longer shows the person. Hold {hold.hold_id} was rejected: all is read again in full"
    if hold.decision is not None and held.number <= (hold.decided_up_to or 0):
        return f"the directory no longer shows the person, and the removal (hold {hold.hold_id}) is approved"
    return (
        f"the directory no longer shows the person. The removal is no. {held.number} of hold {hold.hold_id}, which "
        f"waits for a decision since {times.moment(hold.began_at)}: {hold_words.command('show', hold)}"
    )
