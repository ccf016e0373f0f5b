"""The one place where tests wait: until something is true, or a deadline says what was seen last."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

_EVERY_SECONDS = 0.05


def eventually(
    probe: Callable[[], Seen],
    *,
    within_seconds: float = 30.0,
    what: str = "",
    despite: tuple[type[Exception], ...] = (AssertionError,),
) -> Seen:
    """Call `probe` until what it returns is true, and return that.

    Args:
        probe: May also assert: a failed assertion means "not yet".
        within_seconds: A limit against hanging, not an expectation of speed.
        what: The awaited fact, for the message.
        despite: Exceptions of the probe that mean "not yet".
    """
    deadline = time.monotonic() + within_seconds
    while True:
        try:
            seen = probe()
        except despite as error:
            last = f"{type(error).__name__}: {error}"
        else:
            if seen:
                return seen
            last = repr(seen)
        if time.monotonic() > deadline:
            name = what or getattr(probe, "__name__", "it")
            raise AssertionError(f"{name} did not come true within {within_seconds:g} s; seen last: {last}")
        time.sleep(_EVERY_SECONDS)
