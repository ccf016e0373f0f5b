"""Things that are to happen at a moment of the simulated time, on one thread.

Actions must be short: what talks to the network hands itself over to a pool. An action that raises is logged and
forgotten, the agenda goes on.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable

from simulator.clock import Clock

log = logging.getLogger(__name__)

Action = Callable[[], None]


class Agenda:
    """A queue ordered by simulated time, served by one background thread between `start` and `stop`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="agenda", daemon=True)
        clock.on_change(self._look_again)

    def start(self) -> None:
        """Begin to act."""
        self._thread.start()

    def stop(self) -> None:
        """End after the action that is running, if any; what is still planned is forgotten."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def at(self, when: float, action: Action) -> None:
        """Plan `action` for the simulated moment `when` (epoch seconds); at once when it has passed."""
        with self._wake:
            heapq.heappush(self._entries, (when, next(self._order), action))
            self._wake.notify_all()

    def after(self, seconds: float, action: Action) -> None:
        """Plan `action` for that many simulated seconds from now."""
        self.at(self._clock.now() + seconds, action)

    def _look_again(self) -> None:
        with self._wake:
            self._wake.notify_all()

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                action()
            except Exception:
                log.exception("a planned action failed")

    def _next(self) -> Action | None:
        with self._wake:
            while not self._stopped:
                if not self._entries:
                    self._wake.wait()
                elif (pause := self._clock.real_seconds_until(self._entries[0][0])) > 0:
                    self._wake.wait(timeout=pause)
                else:
                    return heapq.heappop(self._entries)[2]
        return None
