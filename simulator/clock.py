"""The simulated time: it can run faster than the wall clock and can be moved forward, never back.

How much time has passed is decided here and nowhere else. What goes over the wire is wall time (`to_wall`), because
the programs on the other side live by the wall clock: after an advance of one day a subscription simply shows one day
less to live.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Simulated epoch seconds, derived from a monotonic source."""

    def __init__(
        self,
        speed: float = 1.0,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._speed = _checked_speed(speed)
        self._anchor_real = monotonic()
        self._anchor_simulated = wall()
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    @property
    def speed(self) -> float:
        """Simulated seconds that pass in one real second."""
        return self._speed

    def now(self) -> float:
        """Return the simulated time in epoch seconds."""
        with self._lock:
            return self._now()

    def wall(self) -> float:
        """Return the real time in epoch seconds."""
        return self._wall()

    def to_wall(self, simulated: float) -> float:
        """Translate a simulated moment into wall time, keeping the distance from now in seconds."""
        return self._wall() + (simulated - self.now())

    def from_wall(self, wall: float) -> float:
        """Translate a wall time that a client sent into the simulated time, keeping the distance from now."""
        return self.now() + (wall - self._wall())

    def real_seconds_until(self, simulated: float) -> float:
        """Return how long a thread has to wait for a simulated moment, in real seconds; 0 when it has passed."""
        with self._lock:
            return max(0.0, (simulated - self._now()) / self._speed)

    def advance(self, seconds: float) -> None:
        """Let that many simulated seconds pass at once; ValueError when negative."""
        if seconds < 0:
            raise ValueError("The clock can only be moved forward.")
        with self._lock:
            self._anchor_simulated += seconds
        self._tell()

    def set_speed(self, speed: float) -> None:
        """Change how fast simulated time runs from now on; ValueError unless positive."""
        speed = _checked_speed(speed)
        with self._lock:
            self._anchor_simulated, self._anchor_real = self._now(), self._monotonic()
            self._speed = speed
        self._tell()

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every advance and change of speed, so that waiting threads look again."""
        self._listeners.append(listener)

    def _now(self) -> float:
        return self._anchor_simulated + (self._monotonic() - self._anchor_real) * self._speed

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def timestamp(epoch_seconds: float, *, fraction_digits: int = 0, suffix: str = "Z") -> str:
    """Write a moment as Graph does, in UTC: `2026-03-02T08:15:30Z`, with up to seven fractional digits."""
    moment = datetime.fromtimestamp(epoch_seconds, tz=UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    if fraction_digits:
        text += "." + f"{moment.microsecond:06d}0"[:fraction_digits]
    return text + suffix


def _checked_speed(speed: float) -> float:
    if not 0 < speed <= 1_000_000:
        raise ValueError("The speed is a number above 0 and up to 1,000,000.")
    return speed
