"""The knobs of one tenant as they are set now, the draws made from them, and how often each one fired.

A fault is counted where it happens, so that a test can prove that it was there.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from simulator.knobs import KNOBS


class UnknownKnobError(ValueError):
    """A setting that does not exist or cannot have that value; the message lists what exists."""


class Faults:
    """Thread-safe; all randomness comes from the `seed` knob."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self._lock = threading.Lock()
        self._initial = {name: knob.default for name, knob in KNOBS.items()} | _checked(settings or {})
        self._settings = dict(self._initial)
        self._fired: Counter[str] = Counter()
        self._random = random.Random(self._settings["seed"])

    def turn(self, settings: Mapping[str, Any]) -> None:
        """Change some knobs, all or none of them."""
        checked = _checked(settings)
        with self._lock:
            self._settings.update(checked)
            if "seed" in checked:
                self._random = random.Random(checked["seed"])

    def reset(self) -> None:
        """Return to the knobs of the start, with counters at zero."""
        with self._lock:
            self._settings = dict(self._initial)
            self._fired.clear()
            self._random = random.Random(self._settings["seed"])

    def report(self) -> dict[str, Any]:
        """Return `{"settings": {knob: value}, "fired": {knob: times}}`."""
        with self._lock:
            return {"settings": dict(self._settings), "fired": dict(self._fired)}

    def value(self, name: str) -> Any:
        """Return a knob's setting."""
        return self._settings[name]

    def seconds(self, name: str) -> float:
        return float(self._settings[name])

    def fires(self, name: str) -> bool:
        """Draw from a probability knob, counting when it fires."""
        probability = self._settings[name]
        if probability <= 0:
            return False
        with self._lock:
            if self._random.random() >= probability:
                return False
            self._fired[name] += 1
            return True

    def hides(self, object_id: str) -> bool:
        """Whether initial rounds and listings leave this object out; the draw depends on nothing but its id."""
        share = self._settings["hidden_share"]
        if share <= 0 or crc32(object_id.encode()) >= share * 2**32:
            return False
        self.count("hidden_share")
        return True

    def takes(self, name: str) -> bool:
        """Use up one of a "next N" knob; False when none is left."""
        if self._settings[name] <= 0:
            return False
        with self._lock:
            if self._settings[name] <= 0:
                return False
            self._settings[name] -= 1
            self._fired[name] += 1
            return True

    def count(self, name: str) -> None:
        """Count a fault that happens without a draw."""
        with self._lock:
            self._fired[name] += 1

    def pick(self, choices: list[Any]) -> Any:
        """Return one of the choices at random."""
        with self._lock:
            return self._random.choice(choices)

    def up_to(self, largest: float) -> float:
        """Return a random number from 0 to `largest`."""
        with self._lock:
            return self._random.uniform(0, largest)


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in settings.items():
        if name not in KNOBS:
            raise UnknownKnobError(f"There is no knob '{name}'. There are: {', '.join(sorted(KNOBS))}.")
        try:
            KNOBS[name].check(value)
        except ValueError as problem:
            raise UnknownKnobError(f"The knob '{name}' {problem}: {KNOBS[name].meaning}") from None
    return dict(settings)
