"""One tenant: its directory, what readers see of it, its application, its knobs and its counters."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from simulator.agenda import Agenda
from simulator.application import Application
from simulator.change_log import Change, ChangeLog
from simulator.clock import Clock
from simulator.directory import RECYCLE_BIN_SECONDS, Directory
from simulator.faults import Faults
from simulator.page_tokens import PageTokens
from simulator.population import Population
from simulator.replica import Replica
from simulator.statistics import Statistics
from simulator.subscription_book import SubscriptionBook
from simulator.throttling import Throttle


class Tenant:
    """Everything keyed by a tenant id. Whoever touches the directory or a replica holds `lock`."""

    def __init__(
        self,
        tenant_id: str,
        domain: str,
        application: Application,
        population: Population,
        *,
        clock: Clock,
        agenda: Agenda,
        seed: int,
        settings: Mapping[str, Any],
    ) -> None:
        self.id = tenant_id
        self.domain = domain
        self.application = application
        self.clock = clock
        self.lock = threading.RLock()
        self.faults = Faults(settings)
        self.statistics = Statistics()
        self.log = ChangeLog()
        self.directory = Directory(
            population, self.log, clock, lock=self.lock, ids=random.Random(f"{seed} ids"), option=self.faults.value
        )
        self.delta_replica = self._replica("replication_lag_seconds")
        self.read_replica = self._replica("read_lag_seconds")
        self.subscriptions = SubscriptionBook(clock.now)
        self.page_tokens = PageTokens(tenant_id)
        # Tokens of an earlier process are expired, not malformed: its log is gone.
        self.generation = uuid.uuid4().hex
        self.throttle = Throttle(clock, self.faults, lambda: len(population.users))
        self._agenda = agenda
        self.directory.listeners.append(self._watch_recycle_bin)

    def reset_delta_tokens(self) -> None:
        """Let every delta token out there expire, as maintenance or a moved tenant does."""
        self.generation = uuid.uuid4().hex

    def _replica(self, lag_knob: str) -> Replica:
        return Replica(
            self.directory.truth.copy(),
            self.log,
            self.clock,
            lag_seconds=lambda: self.faults.seconds(lag_knob),
            on_lag=lambda: self.faults.count(lag_knob),
        )

    def _watch_recycle_bin(self, change: Change) -> None:
        version = change.version
        if version is not None and version.status == "deleted":
            self._agenda.at(change.at + RECYCLE_BIN_SECONDS, lambda: self.directory.expire(version))
