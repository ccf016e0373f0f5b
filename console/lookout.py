"""Looking at something again and again, in a thread of its own: what hangs or is away holds up nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from common.errors import RetryLaterError

Picture = TypeVar("Picture")

REST = 20
"""After a look comes a rest of so many times what it took: looking on costs a twentieth of one connection at most."""


@dataclass(frozen=True)
class Seen(Generic[Picture]):
    """What was seen last, and when by `time.monotonic`; `trouble` is why the latest look came to nothing."""

    picture: Picture | None = None
    at: float = 0.0
    trouble: str | None = None

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.at


class Lookout(Generic[Picture]):
    """Calls `look` until it is stopped, every so many seconds or less often when it takes long.

    Something that is away (`RetryLaterError`) is looked for again. Any other error ends the looking, and is raised by
    `seen`.
    """

    def __init__(self, name: str, look: Callable[[], Picture], *, every_seconds: float) -> None:
        self._look = look
        self._every_seconds = every_seconds
        self._seen: Seen[Picture] = Seen()
        self._error: Exception | None = None
        self._stopping = threading.Event()
        # A daemon: it may hang in a connection when the person has had enough.
        self._thread = threading.Thread(target=self._run, name=f"lookout-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within_seconds: float) -> None:
        """Look no more; wait so long for a look that is under way."""
        self._stopping.set()
        self._thread.join(within_seconds)

    def seen(self) -> Seen[Picture]:
        if self._error is not None:
            raise self._error
        return self._seen

    def _run(self) -> None:
        took_seconds = 0.0  # of the first look nothing is told: it also opens what is looked at
        is_first = True
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._seen = Seen(self._look(), time.monotonic())
            except RetryLaterError as error:
                self._seen = Seen(self._seen.picture, self._seen.at, str(error))
            except Exception as error:  # noqa: BLE001 - handed to whoever asks what was seen
                self._error = error
                return
            if not is_first:
                took_seconds = time.monotonic() - began
            is_first = False
            self._stopping.wait(max(self._every_seconds, REST * took_seconds))
