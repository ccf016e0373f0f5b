"""Single keys from the terminal, without Enter and without being shown; the terminal is given back as it was."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any, Self

NO_KEY = b"\0"
"""What switches a special key of the terminal off (`_POSIX_VDISABLE`)."""
CONTROL_CHARACTERS = 6


class Keyboard:
    """Reads keys within a `with` block. Ctrl-C still interrupts; Ctrl-Z does not leave a full screen behind."""

    def __init__(self) -> None:
        self._terminal = sys.stdin.fileno()
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._terminal)
        tty.setcbreak(self._terminal)
        settings = termios.tcgetattr(self._terminal)
        settings[CONTROL_CHARACTERS][termios.VSUSP] = NO_KEY
        termios.tcsetattr(self._terminal, termios.TCSANOW, settings)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._terminal, termios.TCSAFLUSH, self._before)

    def pressed(self, within_seconds: float) -> str:
        """Return what is typed within so long, "" if nothing is.

        Raises:
            EOFError: the terminal is gone.
        """
        if not select.select([self._terminal], [], [], within_seconds)[0]:
            return ""
        try:
            typed = os.read(self._terminal, 1024)
        except OSError:
            typed = b""
        if not typed:
            raise EOFError("The terminal is gone.")
        return typed.decode(errors="replace")
