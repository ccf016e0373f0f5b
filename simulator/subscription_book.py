"""The subscriptions of a tenant: what each one wants, until when it lives and until when it is authorized.

Expiry is decided by the clock at the moment of asking; an expired subscription is simply not there any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.change_log import Change
from simulator.clock import Clock, timestamp


@dataclass
class Subscription:
    """One subscription; moments are simulated epoch seconds."""

    id: str
    client_id: str
    creator_id: str
    resource: str
    object_type: str
    target_id: str | None
    relation: str | None
    change_type: str
    notification_url: str
    lifecycle_url: str | None
    client_state: str | None
    tls_version: str
    expires_at: float
    authorized_until: float
    patched_at: float | None = None
    reauthorized_at: float | None = None

    @property
    def change_types(self) -> frozenset[str]:
        return frozenset(word.strip().lower() for word in self.change_type.split(","))

    @property
    def combination(self) -> tuple[str, frozenset[str]]:
        """What may exist only once: the resource and the change types, whatever the address."""
        return self.resource.strip("/").lower(), self.change_types

    def wants(self, change: Change) -> bool:
        """Whether a change is to be notified: created, changed and soft-deleted objects are all `updated`."""
        if change.object_type != self.object_type or change_type(change) not in self.change_types:
            return False
        if self.target_id is not None and change.object_id != self.target_id:
            return False
        return self.relation is None or (self.relation == "members" and change.edge is not None)

    def is_paused(self, now: float) -> bool:
        """Whether sending is suspended because the authorization lapsed; only who can be challenged can lapse."""
        return self.lifecycle_url is not None and self.authorized_until <= now

    def as_json(self, clock: Clock, *, reveal: bool = False) -> dict[str, Any]:
        """Return the API's form; the clientState is shown to whoever has just sent it, and to nobody else."""
        return {
            "id": self.id,
            "resource": self.resource,
            "applicationId": self.client_id,
            "changeType": self.change_type,
            "clientState": self.client_state if reveal else None,
            "notificationUrl": self.notification_url,
            "notificationQueryOptions": None,
            "lifecycleNotificationUrl": self.lifecycle_url,
            "expirationDateTime": timestamp(clock.to_wall(self.expires_at), fraction_digits=7),
            "creatorId": self.creator_id,
            "includeResourceData": None,
            "latestSupportedTlsVersion": self.tls_version,
            "encryptionCertificate": None,
            "encryptionCertificateId": None,
            "notificationUrlAppId": None,
            "notificationContentType": "application/json",
        }


def change_type(change: Change) -> str:
    """Return `deleted` for what is gone for good, `updated` for everything else."""
    gone = change.version is not None and change.version.status == "purged"
    return "deleted" if gone else "updated"


class SubscriptionBook:
    """Thread-safe; knows only live subscriptions."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._by_id: dict[str, Subscription] = {}

    def live(self) -> list[Subscription]:
        """Return the live subscriptions in order of creation."""
        with self._lock:
            return self._live()

    def get(self, subscription_id: str) -> Subscription | None:
        with self._lock:
            return next((found for found in self._live() if found.id == subscription_id), None)

    def twin(self, resource: str, change_type: str, client_id: str) -> Subscription | None:
        """Return the live subscription that a new one of that combination would duplicate."""
        wanted = resource.strip("/").lower(), frozenset(word.strip().lower() for word in change_type.split(","))
        return next((s for s in self.live() if s.combination == wanted and s.client_id == client_id), None)

    def add(self, subscription: Subscription) -> Subscription | None:
        """Add it, unless a twin came first: then return the twin and add nothing."""
        with self._lock:
            for other in self._live():
                if other.combination == subscription.combination and other.client_id == subscription.client_id:
                    return other
            self._by_id[subscription.id] = subscription
            return None

    def remove(self, subscription_id: str) -> bool:
        """Forget a subscription; False when there is none."""
        with self._lock:
            self._live()
            return self._by_id.pop(subscription_id, None) is not None

    def _live(self) -> list[Subscription]:
        now = self._now()
        for expired in [found.id for found in self._by_id.values() if found.expires_at <= now]:
            del self._by_id[expired]
        return list(self._by_id.values())
