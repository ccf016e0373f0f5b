"""The latest of something that is read anew every few seconds, on a thread of its own.

So a scrape or a question for the health costs nothing and waits for nobody, however many ask: not for a database that
hangs, nor for a broker that is away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from common import logging
from common.errors import EntraSmsError

T = TypeVar("T")

EVERY_SECONDS = 5.0
STALE_SECONDS = 20.0
"""What is older is told no longer: whoever is read does not answer."""
FAREWELL_SECONDS = 2.0

log = logging.get("reading")


class Reading(Generic[T]):
    """Calls `read` every few seconds between `start` and `stop`, and `close` on the same thread in the end."""

    def __init__(
        self,
        name: str,
        read: Callable[[], T],
        *,
        close: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._read = read
        self._close = close
        self._clock = clock
        self._said = ""
        self._latest: tuple[float, T] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def latest(self) -> T | None:
        """Return what was read last, or None when the last try failed or none has ended for too long."""
        latest = self._latest
        if latest is None or self._clock() - latest[0] > STALE_SECONDS:
            return None
        return latest[1]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; one that hangs in a read is left to end with the process."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(FAREWELL_SECONDS)

    def refresh(self) -> None:
        """Read once."""
        try:
            self._latest = (self._clock(), self._read())
        except EntraSmsError as error:
            self._latest = None
            if str(error) != self._said:  # once a trouble, not every few seconds
                self._said = str(error)
                log.warning("reading_failed", reading=self._name, error=self._said)
        except Exception:
            self._latest = None
            log.exception("reading_failed", reading=self._name)  # the loop's boundary: it must outlive any defect
        else:
            self._said = ""

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.refresh()
            self._stopping.wait(EVERY_SECONDS)
        self._close()
