"""Everything of one simulator, put together: clock, tenants, delivery. Nothing runs before `start`."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from simulator.access_tokens import AccessTokens
from simulator.agenda import Agenda
from simulator.change_log import Change
from simulator.clock import Clock
from simulator.handshake import Handshakes
from simulator.lifecycle import Lifecycle
from simulator.lively import Lively
from simulator.notifier import Notifier
from simulator.seed import found_company
from simulator.tenant import Tenant

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What to simulate.

    Attributes:
        users: Live users of each tenant.
        groups: Live groups of each tenant.
        lively: Changes per real second that happen by themselves, 0 for none.
        settings: Knobs that differ from their defaults.
    """

    users: int = 100
    groups: int = 20
    seed: int = 1
    tenants: int = 1
    lively: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)


class World:
    """All tenants and the machinery they share; `trust_file` holds the CAs of acceptable notification endpoints."""

    def __init__(self, plan: Plan, clock: Clock, trust_file: Path, access_tokens: AccessTokens | None = None) -> None:
        self.plan = plan
        self.clock = clock
        self.stopping = threading.Event()
        self.agenda = Agenda(clock)
        self.access_tokens = access_tokens or AccessTokens()
        self.handshakes = Handshakes(ssl.create_default_context(cafile=str(trust_file)))
        self.notifier = Notifier(self.agenda, clock, str(trust_file))
        self.lifecycle = Lifecycle(self.agenda, clock, self.notifier)
        self.tenants: dict[str, Tenant] = {}
        self.lively: dict[str, Lively] = {}
        for number in range(plan.tenants):
            self._found(number)

    def start(self) -> None:
        self.agenda.start()
        for lively in self.lively.values():
            if self.plan.lively > 0:
                lively.run(self.plan.lively, self.plan.seed)

    def stop(self) -> None:
        """End all background threads; a stopped world stays stopped."""
        self.stopping.set()
        for lively in self.lively.values():
            lively.rest()
        self.agenda.stop()
        self.notifier.stop()

    def tenant(self, name: str) -> Tenant | None:
        """Return a tenant by id or domain; `default` is the first one."""
        if name == "default":
            return next(iter(self.tenants.values()))
        return next((each for each in self.tenants.values() if name.lower() in (each.id, each.domain)), None)

    def _found(self, number: int) -> None:
        company = found_company(self.plan.seed, number, self.plan.users, self.plan.groups)
        tenant = Tenant(
            company.tenant_id,
            company.domain,
            company.application,
            company.population,
            clock=self.clock,
            agenda=self.agenda,
            seed=self.plan.seed,
            settings=self.plan.settings,
        )
        tenant.directory.listeners.append(_tell)
        tenant.directory.listeners.append(partial(self.notifier.announce, tenant))
        self.tenants[tenant.id] = tenant
        self.lively[tenant.id] = Lively(tenant)


def _tell(change: Change) -> None:
    log.info("#%d %s", change.sequence, change.summary)
