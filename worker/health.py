"""Whether this worker runs, and whether it can do its work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


class Health:
    """Answers for `common.health`; asks nobody anything, so that the answer comes at once.

    A worker that has lost its broker or database is alive: it comes back by itself, and no restart makes that faster.
    """

    def __init__(self, *, is_connected: Callable[[], bool], database_answers: Callable[[], bool]) -> None:
        self._is_connected = is_connected
        self._database_answers = database_answers
        self._are_alive: Sequence[Callable[[], bool]] = ()
        self._is_started = False
        self._is_stopping = False

    def started(self, threads: Sequence[threading.Thread | Callable[[], bool]]) -> None:
        """Note that everything runs: from now on each of `threads` has to live."""
        self._are_alive = [one.is_alive if isinstance(one, threading.Thread) else one for one in threads]
        self._is_started = True

    def stopping(self) -> None:
        """Note that the threads end because they were asked to."""
        self._is_stopping = True

    def live(self) -> str | None:
        is_whole = self._is_stopping or all(is_alive() for is_alive in self._are_alive)
        return None if is_whole else "a thread ended"

    def ready(self) -> str | None:
        if self._is_stopping:
            return "stopping"
        if not self._is_started:
            return "starting"
        if not self._is_connected():
            return "broker away"
        return None if self._database_answers() else "database away"
