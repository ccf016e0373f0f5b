"""The condition of a tenant: what it holds, how fresh it is, and everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from common.config import Settings
from common.db.tenants import Tenant, TenantState
from common.messages import Stream
from console import choice, expiry, hold_words, times
from console.output import number, plural, shown
from console.reads import advance, holds, overview, teams, waiting_events
from console.reads.advance import Advance
from console.reads.holds import Hold
from console.reads.overview import Size, SubscriptionRow
from console.reads.waiting_events import WaitingEvents
from console.troubles import Kind, Trouble

Part = TypeVar("Part", Advance, Hold)

STALE_POLLS = 3
"""A stream that missed so many polls in a row is in trouble."""
PATIENCE_SECONDS = 60.0
EVENTS_SECONDS = 900.0
"""Changes that wait longer to be published are a trouble; after a first sync it takes minutes."""


@dataclass(frozen=True)
class Condition:
    """A tenant as it is now; `size` and `memberships` are None where nobody has counted."""

    tenant: Tenant
    now: datetime
    size: Size | None
    memberships: int | None
    advances: Sequence[Advance]
    holds: Sequence[Hold]
    subscriptions: Sequence[SubscriptionRow]
    subscription_trouble: str | None
    poll_seconds: float
    wants_subscriptions: bool
    waiting_events: WaitingEvents | None = None
    """Changes to be published as events; None when there are none, or events are not wanted."""
    lost_groups: Sequence[str] = ()
    """Ids of groups of the scope that are not in the book."""

    @property
    def troubles(self) -> list[Trouble]:
        """What is wrong; nothing when the tenant is healthy, or paused: then it is meant to be as it is."""
        if self.tenant.state is TenantState.PAUSED:
            return []
        if self.tenant.state is TenantState.ACCESS_FAILED:
            return [self._access_trouble(), *self._held()]
        return [
            *(trouble for one in self.advances if (trouble := self._stream_trouble(one))),
            *self._held(),
            *self._subscription_troubles(),
            *self._event_troubles(),
            *self._credential_troubles(),
            *self._scope_troubles(),
        ]

    @property
    def is_only_held(self) -> bool:
        return bool(self.holds) and all(trouble.kind is Kind.HELD for trouble in self.troubles)

    @property
    def is_throttled(self) -> bool:
        return self.tenant.throttled_until is not None and self.tenant.throttled_until > self.now

    @property
    def read_at(self) -> datetime | None:
        """When the stream that was read longest ago was read; None while one of them never was."""
        good = [one.last_good_at for one in self.advances if one.last_good_at is not None]
        return min(good) if good and len(good) == len(self.advances) else None

    @property
    def lag_seconds(self) -> float | None:
        """How long the latest change took that Graph notified of, of the slower stream; None before the first one."""
        lags = [one.last_change_lag_seconds for one in self.advances]
        return max((lag for lag in lags if lag is not None), default=None)

    def hold_of(self, stream: Stream) -> Hold | None:
        return next((one for one in self.holds if one.stream is stream), None)

    def _access_trouble(self) -> Trouble:
        reason = shown(self.tenant.state_reason or "Its access failed.")
        since = times.moment(self.tenant.state_since)
        mended = f"When it is mended: entra-sms tenants check {choice.typed(self.tenant)}"
        return self._trouble(Kind.ACCESS, f"{reason} (since {since}) {mended}", is_critical=True)

    def _held(self) -> list[Trouble]:
        return [self._trouble(Kind.HELD, hold_words.trouble(one), is_critical=False) for one in self.holds]

    def _stream_trouble(self, one: Advance) -> Trouble | None:
        is_stale = self._is_stale(one)
        if one.failures:
            tries = f"the last {number(one.failures)} rounds" if one.failures > 1 else "the last round"
            text = f"{one.stream}: {tries} failed. {shown(one.last_error or '')}".rstrip(" -")
            return self._trouble(Kind.FAILING, text, is_critical=is_stale)
        if not is_stale or one.full_began_at is not None or self.is_throttled:
            return None
        read = f"last read {times.ago(one.last_good_at, self.now)}" if one.last_good_at else "not read yet"
        return self._trouble(Kind.STALE, f"{one.stream}: {read}; does a worker run?", is_critical=True)

    def _is_stale(self, one: Advance) -> bool:
        if one.last_good_at is None:
            return (self.now - self.tenant.state_since).total_seconds() > PATIENCE_SECONDS
        # A tenant that was paused for long is not late in the moment in which it goes on.
        since = max(one.last_good_at, self.tenant.state_since)
        return (self.now - since).total_seconds() > STALE_POLLS * self.poll_seconds + PATIENCE_SECONDS

    def _subscription_troubles(self) -> Iterator[Trouble]:
        young = (self.now - self.tenant.state_since).total_seconds() < PATIENCE_SECONDS
        if not self.wants_subscriptions or young:
            return
        alive = {row.stream for row in self.subscriptions if row.expires_at > self.now}
        missing = [str(stream) for stream in Stream if stream not in alive]
        if missing:
            every = f"so changes are found only every {self.poll_seconds:g} s."
            why = f" {shown(self.subscription_trouble)}" if self.subscription_trouble else ""
            text = f"{' and '.join(missing)}: no subscription at Graph, {every}{why}"
            yield self._trouble(Kind.UNSUBSCRIBED, text, is_critical=False)

    def _event_troubles(self) -> Iterator[Trouble]:
        waiting = self.waiting_events
        if waiting is None or (self.now - waiting.since).total_seconds() <= EVENTS_SECONDS:
            return
        wait = f"{'waits' if waiting.count == 1 else 'wait'} to be published, since {times.moment(waiting.since)}"
        text = f"{plural(waiting.count, 'change')} {wait}; does RabbitMQ take them, and every consumer's queue?"
        yield self._trouble(Kind.EVENTS, text, is_critical=False)

    def _credential_troubles(self) -> Iterator[Trouble]:
        text = expiry.warning(self.tenant, self.now)
        if text is not None and expiry.is_urgent(self.tenant, self.now):
            yield self._trouble(Kind.CREDENTIAL, f"{text} {choice.typed(self.tenant)}", is_critical=False)

    def _scope_troubles(self) -> Iterator[Trouble]:
        groups = next((one for one in self.advances if one.stream is Stream.GROUPS), None)
        if self.lost_groups and groups is not None and groups.last_full_at is not None:
            lost = f"{plural(len(self.lost_groups), 'group')} of its scope, {', '.join(self.lost_groups)},"
            not_there = (
                "is not in the directory and reaches" if len(self.lost_groups) == 1 else "are not there and reach"
            )
            text = f"{lost} {not_there} nobody."
            change = f"Change the scope: entra-sms tenants scope {choice.typed(self.tenant)}"
            yield self._trouble(Kind.SCOPE, f"{text} {change}", is_critical=False)

    def _trouble(self, kind: Kind, text: str, *, is_critical: bool) -> Trouble:
        return Trouble(kind, text, is_critical, tenant=shown(self.tenant.name))


def of(
    connection: Connection,
    tenants: Sequence[Tenant],
    now: datetime,
    settings: Settings,
    *,
    sizes: Mapping[str, Size],
    memberships: Mapping[str, int] | None = None,
) -> list[Condition]:
    """Return the condition of each of `tenants`; what has to be counted is given, since counting takes long."""
    ids = [tenant.tenant_id for tenant in tenants]
    advances = _by_tenant(advance.of_tenants(connection, ids))
    held = _by_tenant(holds.open_holds(connection, ids))
    subscriptions = overview.subscriptions_by_tenant(connection, ids)
    subscription_troubles = overview.subscription_troubles(connection, ids)
    scoped = [(tenant.tenant_id, group_id) for tenant in tenants for group_id in tenant.scope.group_ids]
    known_groups = teams.known_among(connection, scoped)
    events = waiting_events.by_tenant(connection, ids) if settings.publish_events else {}
    return [
        Condition(
            tenant=tenant,
            now=now,
            size=sizes.get(tenant.tenant_id),
            memberships=memberships.get(tenant.tenant_id, 0) if memberships is not None else None,
            advances=advances.get(tenant.tenant_id, ()),
            holds=held.get(tenant.tenant_id, ()),
            subscriptions=subscriptions[tenant.tenant_id],
            subscription_trouble=subscription_troubles.get(tenant.tenant_id),
            poll_seconds=settings.poll_seconds,
            wants_subscriptions=bool(settings.public_url),
            waiting_events=events.get(tenant.tenant_id),
            lost_groups=[one for one in tenant.scope.group_ids if (tenant.tenant_id, one) not in known_groups],
        )
        for tenant in tenants
    ]


def freshness(one: Advance, now: datetime, *, total: int | None) -> str:
    """Return in words how fresh a stream is, and how far a full round is that is under way."""
    parts = [f"read {times.ago(one.last_good_at, now)}" if one.last_good_at else "not read yet"]
    if one.full_began_at is not None:
        of = f" of about {total:,}" if one.last_full_at is not None and total and total >= one.full_objects else ""
        parts.append(
            f"full sync under way for {times.span((now - one.full_began_at).total_seconds())}: "
            f"{one.full_objects:,}{of}, {plural(one.full_pages, 'page')}"
        )
    elif one.full_wanted_at is not None:
        parts.append(f"full sync asked for {times.ago(one.full_wanted_at, now)}")
    elif one.last_full_at is not None:
        parts.append(f"in full {times.ago(one.last_full_at, now)}")
    return ", ".join(parts)


def _by_tenant(found: Sequence[Part]) -> dict[str, list[Part]]:
    grouped: dict[str, list[Part]] = {}
    for one in found:
        grouped.setdefault(one.tenant_id, []).append(one)
    return grouped
