"""The condition of a tenant: what it holds, how fresh it is, and everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from common.config import Settings
from common.db.tenants import Tenant, TenantState
from common.messages import Stream
from console import hold_words, times
from console.output import plural, shown
from console.reads import advance, holds, overview
from console.reads.advance import Advance
from console.reads.holds import Hold
from console.reads.overview import Size, SubscriptionRow

STALE_POLLS = 3
"""A stream that missed so many polls in a row is in trouble."""
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Condition:
    """A tenant as it is now."""

    tenant: Tenant
    now: datetime
    size: Size
    advances: Sequence[Advance]
    holds: Sequence[Hold]
    subscriptions: Sequence[SubscriptionRow]
    poll_seconds: float
    wants_subscriptions: bool

    @property
    def troubles(self) -> list[str]:
        """What is wrong, a sentence each; nothing when the tenant is healthy."""
        if self.tenant.state is TenantState.ACCESS_FAILED:
            reason = shown(self.tenant.state_reason or "Its access failed.")
            return [f"{reason} (since {times.moment(self.tenant.state_since)})", *self.held]
        return [
            *(trouble for one in self.advances if (trouble := self._trouble_of(one))),
            *self.held,
            *self._subscription_troubles(),
        ]

    @property
    def held(self) -> list[str]:
        """Those of the troubles that are removals waiting for a decision."""
        return [hold_words.trouble(one) for one in self.holds]

    @property
    def is_only_held(self) -> bool:
        return bool(self.holds) and self.troubles == self.held

    def hold_of(self, stream: Stream) -> Hold | None:
        return next((one for one in self.holds if one.stream is stream), None)

    @property
    def is_throttled(self) -> bool:
        return self.tenant.throttled_until is not None and self.tenant.throttled_until > self.now

    def _trouble_of(self, one: Advance) -> str | None:
        if one.failures:
            tries = f"the last {one.failures} rounds" if one.failures > 1 else "the last round"
            return f"{one.stream}: {tries} failed. {shown(one.last_error or '')}".rstrip(" -")
        if one.full_began_at is not None or self.is_throttled:
            return None
        allowed_seconds = STALE_POLLS * self.poll_seconds + PATIENCE_SECONDS
        if one.last_good_at is None:
            age_seconds = (self.now - self.tenant.state_since).total_seconds()
            return f"{one.stream}: not read yet; does a worker run?" if age_seconds > PATIENCE_SECONDS else None
        if (self.now - one.last_good_at).total_seconds() > allowed_seconds:
            return f"{one.stream}: last read {times.ago(one.last_good_at, self.now)}; does a worker run?"
        return None

    def _subscription_troubles(self) -> Iterator[str]:
        young = (self.now - self.tenant.state_since).total_seconds() < PATIENCE_SECONDS
        if not self.wants_subscriptions or young:
            return
        alive = {row.stream for row in self.subscriptions if row.expires_at > self.now}
        for stream in Stream:
            if stream not in alive:
                yield f"{stream}: no subscription at Graph, so changes are found only every {self.poll_seconds:g} s."


def of(connection: Connection, tenants: Sequence[Tenant], now: datetime, settings: Settings) -> list[Condition]:
    """Return the condition of each of `tenants`."""
    tenant_ids = [tenant.tenant_id for tenant in tenants]
    advances, held = advance.of_tenants(connection, tenant_ids), holds.open_holds(connection, tenant_ids)
    return [
        Condition(
            tenant=tenant,
            now=now,
            size=overview.size_of(connection, tenant.tenant_id),
            advances=[one for one in advances if one.tenant_id == tenant.tenant_id],
            holds=[one for one in held if one.tenant_id == tenant.tenant_id],
            subscriptions=overview.subscriptions_of(connection, tenant.tenant_id),
            poll_seconds=settings.poll_seconds,
            wants_subscriptions=bool(settings.public_url),
        )
        for tenant in tenants
    ]


def freshness(one: Advance, now: datetime, *, total: int) -> str:
    """Return in words how fresh a stream is, and how far a full round is that is under way."""
    parts = [f"read {times.ago(one.last_good_at, now)}" if one.last_good_at else "not read yet"]
    if one.full_began_at is not None:
        of = f" of about {total:,}" if one.last_full_at is not None and total >= one.full_objects else ""
        parts.append(
            f"full sync under way for {times.span((now - one.full_began_at).total_seconds())}: "
            f"{one.full_objects:,}{of}, {plural(one.full_pages, 'page')}"
        )
    elif one.full_wanted_at is not None:
        parts.append(f"full sync asked for {times.ago(one.full_wanted_at, now)}")
    elif one.last_full_at is not None:
        parts.append(f"in full {times.ago(one.last_full_at, now)}")
    return ", ".join(parts)
