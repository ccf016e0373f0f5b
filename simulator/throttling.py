"""Resource units: what a request costs, how much an application may use in ten seconds, and the 429 answer.

Source: "Microsoft Graph service-specific throttling limits", identity and access; "Throttling guidance".
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from email.utils import formatdate

from simulator.clock import Clock, timestamp
from simulator.faults import Faults
from simulator.graph_errors import GraphError

WINDOW_SECONDS = 10.0
# Low-priority callers are turned away a little before the limit.
_LOW_PRIORITY_LIMIT = 0.9


def quota(users: int) -> int:
    """Return the resource units that an application may use in a tenant of that many users, per ten seconds."""
    if users < 50:
        return 3_500
    return 5_000 if users <= 500 else 8_000


def cost(base: int, *, has_select: bool, top: int | None) -> int:
    """Return the resource units of a request."""
    return max(1, base - has_select - (top is not None and top < 20))


class Throttle:
    """The sliding window of one application in one tenant, in simulated time."""

    def __init__(self, clock: Clock, faults: Faults, users: Callable[[], int]) -> None:
        self._clock = clock
        self._faults = faults
        self._users = users
        self._lock = threading.Lock()
        self._spent: deque[tuple[float, int]] = deque()
        self._total = 0

    def admit(self, units: int, *, low_priority: bool, scope: str) -> float:
        """Charge a request and return the share of the limit in use (1.0 is the limit).

        Raises:
            GraphError: 429, by a knob or because the limit is reached. A refused request is charged nevertheless.
        """
        if self._faults.takes("throttle_next") or self._faults.fires("throttle"):
            raise self._refusal(scope, None)
        with self._lock:
            now = self._clock.now()
            while self._spent and self._spent[0][0] <= now - WINDOW_SECONDS:
                self._total -= self._spent.popleft()[1]
            self._spent.append((now, units))
            self._total += units
            used = self._total / quota(self._users())
        if used > (_LOW_PRIORITY_LIMIT if low_priority else 1.0):
            raise self._refusal(scope, used)
        return used

    def _refusal(self, scope: str, used: float | None) -> GraphError:
        headers = {"x-ms-throttle-scope": scope, "x-ms-throttle-information": "ResourceUnitLimitExceeded"}
        if used is not None:
            headers["x-ms-throttle-limit-percentage"] = f"{min(used, 1.8):.2f}"
        headers |= retry_after(self._faults, self._clock)
        return GraphError(429, "TooManyRequests", "Too many requests.", headers)


def retry_after(faults: Faults, clock: Clock) -> dict[str, str]:
    """Return the Retry-After header in the form that the knob asks for: seconds, decimals, a date, or none."""
    seconds = faults.seconds("retry_after_seconds")
    match faults.value("retry_after"):
        case "integer":
            return {"Retry-After": str(max(1, round(seconds)))}
        case "decimal":
            return {"Retry-After": f"{seconds:.3f}"}
        case "date":
            return {"Retry-After": formatdate(clock.wall() + seconds, usegmt=True)}
    return {}


def throttled_inner(moment: float, request_id: str) -> dict[str, str]:
    """Return the `innerError` of a 429 body."""
    return {"code": "429", "status": "429", "date": timestamp(moment, suffix=""), "request-id": request_id}
