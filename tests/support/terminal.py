"""A program on a terminal of its own, whose screen, keys and size a test has in hand."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OTHER_SCREEN, FIRST_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
HOME = "\x1b[H"
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Use `terminal`; it takes in what the program writes on a thread of its own."""

    def __init__(self, main: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._main = main
        self._written = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def written(self) -> str:
        """Everything so far, with the sequences that steer the terminal."""
        return self._written

    def screen(self) -> list[str]:
        """Return the lines of the latest drawing that is complete, of a program that draws each anew from the top."""
        *_, drawn, _ = ["", "", *self._written.split(HOME)]
        return [line.rstrip() for line in _SEQUENCE.sub("", drawn).replace("\r", "").split("\n")]

    def shows(self, text: str) -> bool:
        return any(text in line for line in self.screen())

    def type(self, keys: str) -> None:
        os.write(self._main, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes(self) -> list[Any]:
        """Return what the terminal does with keys and output."""
        return termios.tcgetattr(self._main)

    def _read(self) -> None:
        while True:
            try:
                got = os.read(self._main, 65_536)
            except OSError:
                return  # Linux says EIO when the other side has gone
            self._written += got.decode(errors="replace")


@contextmanager
def terminal(
    command: Sequence[str], environment: Mapping[str, str], *, columns: int = 80, rows: int = 24
) -> Iterator[Terminal]:
    """Run `command` as the one program of a terminal, which Ctrl-C interrupts; it is killed in the end."""
    main, side = pty.openpty()
    fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        ["setsid", "--ctty", *command],
        stdin=side,
        stdout=side,
        stderr=side,
        cwd=ROOT,
        env=plain | {"TERM": "xterm-256color"} | dict(environment),
    )
    # The other side stays open here as well: its modes are looked at when the program has ended.
    try:
        yield Terminal(main, process)
    finally:
        process.kill()
        process.wait(10)
        os.close(side)
        os.close(main)
