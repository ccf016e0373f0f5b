"""A population that trails behind the truth, as the real service's read side does.

Delta queries and object reads look at replicas; how far each trails is a knob. A replica never goes back in time:
raising the lag holds it where it is until the time has caught up.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.change_log import ChangeLog
from simulator.clock import Clock
from simulator.population import Population


class Replica:
    """Applies the changes of a log once they are old enough. The caller holds the tenant's lock."""

    def __init__(
        self,
        start: Population,
        log: ChangeLog,
        clock: Clock,
        *,
        lag_seconds: Callable[[], float],
        on_lag: Callable[[], None],
    ) -> None:
        self._population = start
        self._log = log
        self._clock = clock
        self._lag_seconds = lag_seconds
        self._on_lag = on_lag
        self._applied = 0

    def current(self) -> tuple[Population, int]:
        """Return the population and the sequence number of the last change in it."""
        visible_until = self._clock.now() - self._lag_seconds()
        for change in self._log.after(self._applied):
            if change.at > visible_until:
                self._on_lag()  # somebody looks, and there is something that he does not see yet
                break
            self._population.apply(change)
            self._applied = change.sequence
        return self._population, self._applied
