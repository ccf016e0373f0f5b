"""A tenant of `entra-sms status` as a block of facts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from common.db.tenants import TenantState
from console import choice, condition, expiry, hold_words, output, state_word, times
from console.condition import Condition
from console.reads.overview import Size


def show(one: Condition) -> None:
    """Print the name of the tenant and its facts."""
    name, domain = output.shown(one.tenant.name), output.shown(one.tenant.domain)
    output.say(Text.assemble((name, "bold"), f"  {domain}  ", state_word.of_condition(one)))
    output.facts((f"  {name}", value) for name, value in _facts(one))


def _facts(one: Condition) -> Iterator[tuple[str, str]]:
    if one.tenant.state is not TenantState.ACTIVE:
        yield _state(one)
    if one.is_throttled and one.tenant.throttled_until is not None:
        yield "throttled", f"Graph asks for a pause; on again {times.until(one.tenant.throttled_until, one.now)}"
    if one.size is not None:
        yield "people", _people(one.size)
        yield "groups", f"{one.size.groups:,} with {output.plural(one.memberships or 0, 'membership')}"
    for part in one.advances:
        total = one.size.of(part.stream) if one.size is not None else None
        yield f"{part.stream} sync", condition.freshness(part, one.now, total=total)
    yield "lag", _lag(one)
    yield "subscriptions", _subscriptions(one)
    if one.tenant.credential_expires_at is not None:
        yield "credential", f"expires {expiry.in_words(one.tenant, one.now)}"
    if one.tenant.state is TenantState.PAUSED:
        for hold in one.holds:
            yield "held", hold_words.trouble(hold)


def _state(one: Condition) -> tuple[str, str]:
    since = f"since {times.moment(one.tenant.state_since)}, {times.ago(one.tenant.state_since, one.now)}"
    if one.tenant.state is TenantState.PAUSED:
        reason = output.shown(one.tenant.state_reason)
        return "paused", f"{since}: {reason}. To go on: entra-sms tenants resume {choice.typed(one.tenant)}"
    return "access failed", f"{since}; tried again every 15 min"


def _people(size: Size) -> str:
    without = f"{size.without_number:,} without, {size.invalid_number:,} invalid"
    return f"{size.people:,}: {size.reachable:,} with a number, {without}"


def _lag(one: Condition) -> str:
    """Return how long the latest change of each stream took from Graph's notification into the book."""
    parts = [
        f"{part.stream} {times.lag(part.last_change_lag_seconds)} ({times.ago(part.last_change_at, one.now)})"
        for part in one.advances
        if part.last_change_lag_seconds is not None and part.last_change_at is not None
    ]
    return ", ".join(parts) or "not known: no change was notified yet"


def _subscriptions(one: Condition) -> str:
    found = ", ".join(
        f"{row.stream} until {times.minute(row.expires_at)}" if row.expires_at > one.now else f"{row.stream} expired"
        for row in one.subscriptions
    )
    if one.tenant.state is TenantState.PAUSED:
        return f"{found}; a worker deletes them" if found else "none while it is paused"
    return found or f"none: changes are found by polling, every {one.poll_seconds:g} s"
