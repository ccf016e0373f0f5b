"""Delivery of notifications: gathering, posting, retrying for four hours, and giving up.

What is due at one address within a short window travels in one body, whatever subscription or tenant it belongs to.
Any 2xx in time is a success; everything else is retried with growing pauses.

Source: "Receive change notifications through webhooks".
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from urllib3.util import SKIP_HEADER

from simulator.agenda import Agenda
from simulator.change_log import Change
from simulator.clock import Clock
from simulator.endpoint_health import EndpointHealth
from simulator.mischief import forgeries
from simulator.notifications import change_item, lifecycle_item
from simulator.subscription_book import Subscription
from simulator.tenant import Tenant

log = logging.getLogger(__name__)

_WORKERS = 8
_DELAY_OF_SLOW_ENDPOINTS = 600.0


@dataclass(frozen=True)
class Letter:
    """One notification on its way."""

    tenant: Tenant
    subscription: Subscription
    item: dict[str, Any]
    created_at: float
    sequence: int | None = None  # of the change that it tells truly

    @property
    def is_lifecycle(self) -> bool:
        return "lifecycleEvent" in self.item

    @property
    def is_addressed(self) -> bool:
        """Whether its subscription still exists; the news of a removal is sent nevertheless."""
        removed = self.item.get("lifecycleEvent") == "subscriptionRemoved"
        return removed or self.tenant.subscriptions.get(self.subscription.id) is self.subscription


class Notifier:
    """Posts to the endpoints of all tenants; `trust_file` holds the CAs whose certificates are accepted."""

    def __init__(self, agenda: Agenda, clock: Clock, trust_file: str) -> None:
        self._agenda = agenda
        self._clock = clock
        self._trust_file = trust_file
        self._lock = threading.Lock()
        self._outbox: dict[str, list[Letter]] = {}
        self._health: dict[str, EndpointHealth] = {}
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=_WORKERS))
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="notifier")
        self._stopped = False

    def stop(self) -> None:
        """Send nothing more; posts that are under way are not waited for."""
        self._stopped = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    def endpoint_states(self) -> dict[str, str]:
        """Return the state of every endpoint host that was posted to: healthy, slow or drop."""
        with self._lock:
            return {host: health.state for host, health in self._health.items()}

    # Creating

    def announce(self, tenant: Tenant, change: Change) -> None:
        """Plan the notifications of a change. Called under the tenant's lock, so it only plans."""
        for subscription in tenant.subscriptions.live():
            if subscription.wants(change):
                item = change_item(subscription, change, tenant.id, self._clock)
                tenant.statistics.notification("created")
                self._plan(tenant, subscription, item, change.sequence)

    def challenge(self, tenant: Tenant, subscription: Subscription, event: str) -> None:
        """Send a lifecycle notification to the subscription's lifecycle address."""
        item = lifecycle_item(subscription, event, tenant.id, self._clock)
        tenant.statistics.notification(f"lifecycle.{event}")
        self._post_later(Letter(tenant, subscription, item, self._clock.now()), 0)

    def _plan(self, tenant: Tenant, subscription: Subscription, item: dict[str, Any], sequence: int) -> None:
        faults = tenant.faults
        letter = Letter(tenant, subscription, item, self._clock.now(), sequence)
        delay = faults.seconds("notification_delay_seconds")
        if faults.fires("notification_drop"):
            tenant.statistics.notification("dropped")
        else:
            if faults.fires("notification_reorder"):
                delay += faults.up_to(faults.seconds("notification_reorder_seconds"))
            if faults.seconds("notification_delay_seconds") > 0:
                faults.count("notification_delay_seconds")
            self._post_later(letter, delay)
        if faults.fires("notification_duplicate"):
            self._post_later(letter, delay + faults.up_to(1.0))
        for forged in forgeries(item, faults):
            self._post_later(Letter(tenant, subscription, forged, letter.created_at), delay)

    def _post_later(self, letter: Letter, delay: float) -> None:
        """Plan from the moment of the write, so that an advance of the clock right after it finds the plan made."""
        due = letter.created_at + delay
        self._agenda.at(due, lambda: self._gather(letter, due))

    # Gathering

    def _gather(self, letter: Letter, due: float) -> None:
        """Put a due notification into the outbox of its address, on the agenda's thread."""
        faults, subscription = letter.tenant.faults, letter.subscription
        url = subscription.notification_url
        if letter.is_lifecycle and subscription.lifecycle_url is not None:
            url = subscription.lifecycle_url
        verdict = self._health_of(url, letter.tenant).verdict(self._clock.now())
        if verdict == "drop":
            letter.tenant.statistics.notification("dropped_by_endpoint_state")
            return
        if verdict == "delay":
            late = due + _DELAY_OF_SLOW_ENDPOINTS
            self._agenda.at(late, lambda: self._put(url, letter, late))
            letter.tenant.statistics.notification("delayed_by_endpoint_state")
        else:
            self._put(url, letter, due + faults.seconds("notification_batch_window_seconds"))

    def _put(self, url: str, letter: Letter, closing_at: float) -> None:
        with self._lock:
            waiting = self._outbox.setdefault(url, [])
            waiting.append(letter)
            first = len(waiting) == 1
        if first:
            self._agenda.at(closing_at, lambda: self._flush(url))

    def _flush(self, url: str) -> None:
        with self._lock:
            letters = self._outbox.pop(url, [])
        size = int(letters[0].tenant.faults.value("notification_batch_size")) if letters else 1
        for start in range(0, len(letters), size):
            self._submit(url, letters[start : start + size], attempt=1)

    # Posting

    def _submit(self, url: str, letters: list[Letter], attempt: int) -> None:
        if not self._stopped:
            self._pool.submit(self._guarded, lambda: self._deliver(url, letters, attempt))

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception:
            log.exception("a delivery failed in an unforeseen way")

    def _deliver(self, url: str, letters: list[Letter], attempt: int) -> None:
        now = self._clock.now()
        letters = [letter for letter in letters if letter.is_addressed]
        paused = [one for one in letters if not one.is_lifecycle and one.subscription.is_paused(now)]
        if paused:
            self._retry(url, paused, attempt)
        for letter in paused:
            letter.tenant.statistics.notification("paused")
        ready = [letter for letter in letters if letter not in paused]
        if not ready:
            return
        if self._post(url, ready, attempt):
            for letter in ready:
                if letter.sequence is not None:
                    letter.tenant.log.acknowledged.add(letter.sequence)
                letter.tenant.statistics.notification("acknowledged")
        else:
            # Planned before it is counted: whoever has seen the count may move the clock to the retry.
            self._retry(url, ready, attempt + 1)
            for letter in ready:
                letter.tenant.statistics.notification("failed")

    def _post(self, url: str, letters: list[Letter], attempt: int) -> bool:
        """Return whether the endpoint took the notifications in time."""
        faults = letters[0].tenant.faults
        timeout = faults.seconds("first_attempt_timeout_seconds" if attempt == 1 else "retry_timeout_seconds")
        for letter in letters:
            letter.tenant.statistics.notification("sent" if attempt == 1 else "retried")
        began, status, timed_out = time.monotonic(), 0, False
        try:
            answer = self._session.post(
                url,
                data=orjson.dumps({"value": [letter.item for letter in letters]}),
                # The service names no user agent, and whoever requires one should find out here.
                headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": SKIP_HEADER},
                timeout=timeout,
                allow_redirects=False,
                verify=self._trust_file,
            )
            status = answer.status_code
        except requests.Timeout:
            timed_out = True
        except requests.RequestException as problem:
            log.info("%s cannot be posted to: %s", _host(url), type(problem).__name__)
        duration = time.monotonic() - began
        if status or timed_out:
            with self._lock:
                self._health[_host(url)].answered(self._clock.now(), max(duration, timeout) if timed_out else duration)
        taken = 200 <= status < 300 and duration <= timeout
        if not taken:
            log.info("%s did not take %d notification(s): %s", _host(url), len(letters), status or "no answer")
        return taken

    def _retry(self, url: str, letters: list[Letter], attempt: int) -> None:
        faults = letters[0].tenant.faults
        pause = faults.seconds("retry_first_delay_seconds") * 2 ** min(attempt - 2, 30)
        pause = min(max(pause, 0.001), faults.seconds("retry_longest_delay_seconds"))
        due = self._clock.now() + pause
        give_up = faults.seconds("retry_give_up_seconds")
        kept = [letter for letter in letters if due - letter.created_at <= give_up]
        for letter in letters:
            if letter not in kept:
                letter.tenant.statistics.notification("lost")
        if kept:
            self._agenda.at(due, lambda: self._submit(url, kept, attempt))

    def _health_of(self, url: str, tenant: Tenant) -> EndpointHealth:
        faults = tenant.faults
        with self._lock:
            health = self._health.setdefault(_host(url), EndpointHealth(3.0, 10.0, 10))
            health.slow_after = faults.seconds("first_attempt_timeout_seconds")
            health.drop_after = faults.seconds("retry_timeout_seconds")
            health.minimum = int(faults.value("endpoint_state_minimum_responses"))
            return health


def _host(url: str) -> str:
    return urlsplit(url).netloc.lower()
