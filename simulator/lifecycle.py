"""Challenges to renew an authorization, before it lapses and when a permission is taken away.

A challenge comes when a quarter of the time is left, and again each time half of the rest is gone, but no more often
than every 15 minutes. For users and groups the service sends `reauthorizationRequired` only; `missed` and
`subscriptionRemoved` can be injected.

Source: "Reduce missing subscriptions and change notifications" of the Microsoft Graph documentation.
"""

from __future__ import annotations

import logging

from simulator.agenda import Agenda
from simulator.clock import Clock
from simulator.notifier import Notifier
from simulator.subscription_book import Subscription
from simulator.subscription_rules import READERS
from simulator.tenant import Tenant

log = logging.getLogger(__name__)

EVENTS = ("reauthorizationRequired", "missed", "subscriptionRemoved")
SHORTEST_PAUSE_SECONDS = 900.0
# After a revoked permission, delivery goes on for a while.
REVOCATION_GRACE_SECONDS = 900.0
# The service asks that nobody reauthorizes and renews the same subscription within this time.
EXCLUSIVE_SECONDS = 600.0


class Lifecycle:
    """Plans and sends the challenges of all tenants."""

    def __init__(self, agenda: Agenda, clock: Clock, notifier: Notifier) -> None:
        self._agenda = agenda
        self._clock = clock
        self._notifier = notifier

    def authorize(self, tenant: Tenant, subscription: Subscription) -> None:
        """Start a new period of authorization and plan its challenges."""
        lifetime = tenant.faults.seconds("authorization_lifetime_seconds")
        subscription.authorized_until = self._clock.now() + lifetime
        self._watch(tenant, subscription)

    def revoke(self, tenant: Tenant) -> None:
        """Challenge every subscription whose permission the application no longer has."""
        for subscription in tenant.subscriptions.live():
            if set(READERS[subscription.object_type]).isdisjoint(tenant.application.roles):
                end = self._clock.now() + REVOCATION_GRACE_SECONDS
                subscription.authorized_until = min(subscription.authorized_until, end)
                self.send(tenant, subscription, "reauthorizationRequired")

    def send(self, tenant: Tenant, subscription: Subscription, event: str) -> None:
        """Send one of the lifecycle events; `subscriptionRemoved` removes the subscription as well."""
        log.info("%s for subscription %s", event, subscription.id)
        if event == "subscriptionRemoved":
            tenant.subscriptions.remove(subscription.id)
        if subscription.lifecycle_url is not None:
            self._notifier.challenge(tenant, subscription, event)

    def _watch(self, tenant: Tenant, subscription: Subscription) -> None:
        if subscription.lifecycle_url is None:
            return
        now, end = self._clock.now(), min(subscription.authorized_until, subscription.expires_at)
        self._plan(tenant, subscription, end - (end - now) / 4)

    def _plan(self, tenant: Tenant, subscription: Subscription, when: float) -> None:
        period = subscription.authorized_until
        self._agenda.at(when, lambda: self._challenge(tenant, subscription, period))

    def _challenge(self, tenant: Tenant, subscription: Subscription, period: float) -> None:
        if subscription.authorized_until != period or tenant.subscriptions.get(subscription.id) is not subscription:
            return
        self.send(tenant, subscription, "reauthorizationRequired")
        left = min(period, subscription.expires_at) - self._clock.now()
        pause = max(left / 2, SHORTEST_PAUSE_SECONDS)
        if left > 0:
            self._plan(tenant, subscription, self._clock.now() + pause)
