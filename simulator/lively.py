"""The lively company: hires, leavers, changed numbers, joins and leaves that happen by themselves.

Changes come at random moments around the wanted rate, in real time, so that a person can watch them.
"""

from __future__ import annotations

import logging
import random
import threading
from typing import Any

from simulator.company import Company
from simulator.tenant import Tenant

log = logging.getLogger(__name__)

FASTEST = 1_000.0
# How often each kind of change happens, relative to the others.
_WEIGHTS = {
    "user.change_number": 25,
    "member.add_user": 18,
    "member.remove": 14,
    "user.create": 12,
    "user.remove": 9,
    "user.restore": 3,
    "user.rename": 4,
    "user.set.department": 4,
    "user.set.jobTitle": 4,
    "user.disable": 2,
    "user.enable": 2,
    "user.clear.mobilePhone": 2,
    "user.spoil_number": 2,
    "user.change_business_number": 3,
    "group.create": 1,
    "group.rename": 2,
}


class Lively:
    """One background thread while it runs."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._rate = 0.0
        self._seed = 0
        self._made = 0
        self._rest = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def run(self, changes_per_second: float, seed: int) -> None:
        """Begin, or go on at another rate; ValueError for a rate that is not above 0 and up to 1,000."""
        if not 0 < changes_per_second <= FASTEST:
            raise ValueError(f"changes_per_second is a number above 0 and up to {FASTEST:.0f}.")
        with self._lock:
            self._stop()
            self._rate, self._seed, self._rest = changes_per_second, seed, threading.Event()
            arguments = (self._rest, random.Random(f"lively {seed}"))
            self._thread = threading.Thread(target=self._live, args=arguments, name="lively", daemon=True)
            self._thread.start()

    def rest(self) -> None:
        """End; nothing happens when it does not run."""
        with self._lock:
            self._stop()
            self._rate = 0.0

    def report(self) -> dict[str, Any]:
        return {
            "running": self._rate > 0,
            "changes_per_second": self._rate,
            "seed": self._seed,
            "changes_made": self._made,
        }

    def _stop(self) -> None:
        self._rest.set()
        if self._thread is not None:
            self._thread.join(timeout=1)
            self._thread = None

    def _live(self, rest: threading.Event, source: random.Random) -> None:
        company = Company(self._tenant.directory, self._tenant.domain, source)
        kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
        while not rest.wait(source.expovariate(self._rate or 1.0)):
            try:
                with self._tenant.lock:
                    self._made += company.act(source.choices(kinds, weights)[0])
            except Exception:
                log.exception("a lively change failed")
