"""What happens to the broker's connections during the run: slowed, stalled, cut and restored, by shares of its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.fault_proxy import FaultProxy

SLOW_DELAY_SECONDS = 0.02
SLOW_BYTES_PER_SECOND = 200_000.0


@dataclass(frozen=True)
class Change:
    """From this share of the run on, the connections are so."""

    share: float
    name: str
    make: Callable[[FaultProxy], None]


FORECAST = (
    Change(0.00, "calm", FaultProxy.restore),
    Change(0.16, "slow", lambda proxy: proxy.slow(SLOW_BYTES_PER_SECOND, delay_seconds=SLOW_DELAY_SECONDS)),
    Change(0.28, "calm", FaultProxy.restore),
    Change(0.32, "stall", FaultProxy.stall),
    Change(0.54, "calm", FaultProxy.restore),
    Change(0.62, "stall", FaultProxy.stall),
    Change(0.74, "cut", FaultProxy.cut),  # what was sent since the stall began is lost
    Change(0.82, "calm", FaultProxy.restore),
)
FAULTS = ("slow", "stall", "cut")


class Weather:
    """Goes through the forecast as time passes."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._coming = list(FORECAST)

    def pass_to(self, share: float) -> None:
        """Make every change that is due when `share` of the run is over."""
        while self._coming and self._coming[0].share <= share:
            change = self._coming.pop(0)
            change.make(self._proxy)

    def missing(self) -> list[str]:
        """The faults that hit no connection, so that nothing is proven about them."""
        return [fault for fault in FAULTS if not self._proxy.fired[fault]]  # type: ignore[index]
