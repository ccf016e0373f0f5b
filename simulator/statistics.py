"""Counts of what happened to one tenant: requests, resource units, notifications, handshakes."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any


class Statistics:
    """Thread-safe counters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._resource_units = 0
        self._notifications: Counter[str] = Counter()
        self._handshakes: Counter[str] = Counter()
        self._violations: Counter[str] = Counter()

    def request(self, route: str, status: int, resource_units: int) -> None:
        with self._lock:
            self._requests[route, status] += 1
            self._resource_units += resource_units

    def notification(self, outcome: str, count: int = 1) -> None:
        """Count notifications that were `created`, `sent`, `acknowledged`, `failed`, `retried`, `dropped`, `lost`..."""
        with self._lock:
            self._notifications[outcome] += count

    def handshake(self, outcome: str) -> None:
        with self._lock:
            self._handshakes[outcome] += 1

    def violation(self, rule: str) -> None:
        """Count something that a client should not do but gets away with."""
        with self._lock:
            self._violations[rule] += 1

    def report(self) -> dict[str, Any]:
        with self._lock:
            routes: dict[str, dict[str, int]] = {}
            for (route, status), times in sorted(self._requests.items()):
                routes.setdefault(route, {})[str(status)] = times
            return {
                "requests": routes,
                "resource_units": self._resource_units,
                "notifications": dict(self._notifications),
                "handshakes": dict(self._handshakes),
                "violations": dict(self._violations),
            }
