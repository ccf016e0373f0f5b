"""The command `entra-sms` in tests: called in this process for what it says, run as a process for how it behaves."""

import io
import logging
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from console import cli
from tests.support.book import SECRET_KEY

ROOT = Path(__file__).parents[2]
Typed = str | Callable[[], str]
QUIET_SECONDS = 60.0
COMMAND = (sys.executable, "-m", "console")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """All of stderr with single spaces, so that wrapping does not matter."""
        return " ".join(self.err.split())


@dataclass
class EntraSms:
    """The command, with the settings that it gets."""

    settings: Mapping[str, str]
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        given = {f"ENTRA_SMS_{name.upper()}": value for name, value in self.settings.items()}
        return {"ENTRA_SMS_SECRET_KEY": SECRET_KEY, **given, **self.extra}

    def __call__(self, *arguments: str, stdin: str = "") -> Ended:
        """Call the command in this process, without a terminal."""
        with _streams(stdin) as (out, err), patch.dict(os.environ, self.environment), _untouched_logging():
            code = cli.run(arguments)
            return Ended(int(code), out.text(), err.text())

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the command as a process."""
        settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        settings |= {"env": os.environ | self.environment, **options}
        return subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, text=True, **settings)

    def run(self, *arguments: str, **options: Any) -> Ended:
        """Run the command as a process."""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out or "", err or "")

    def on_terminal(self, *arguments: str, dialogue: Sequence[tuple[str, Typed]] = (), columns: int = 80) -> Ended:
        """Run the command on a terminal; `out` is all that it shows.

        `dialogue` are pairs of what is awaited to be shown and what is then typed, with Enter. What is typed may be
        made at that moment, by a function.
        """
        main, side = pty.openpty()
        process = self.start(
            *arguments,
            stdin=side,
            stdout=side,
            stderr=side,
            env=os.environ | self.environment | {"COLUMNS": str(columns), "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(side)
        try:
            shown = _talk(main, list(dialogue))
            return Ended(process.wait(60), shown, "")
        finally:
            process.kill()
            os.close(main)


def _talk(terminal: int, dialogue: list[tuple[str, Typed]]) -> str:
    shown, heard = "", 0
    while select.select([terminal], [], [], QUIET_SECONDS)[0]:
        try:
            shown += os.read(terminal, 65_536).decode(errors="replace")
        except OSError:
            return shown  # Linux says EIO when the other side has gone
        if dialogue and dialogue[0][0] in shown[heard:]:
            heard = len(shown)
            _, typed = dialogue.pop(0)
            os.write(terminal, f"{typed if isinstance(typed, str) else typed()}\n".encode())
    raise AssertionError(f"the command waits for something; shown so far: {shown}")


@contextmanager
def _streams(stdin: str) -> Iterator[tuple["_Stream", "_Stream"]]:
    out, err = _Stream(), _Stream()
    with patch.multiple(sys, stdin=io.StringIO(stdin), stdout=out, stderr=err):
        yield out, err


@contextmanager
def _untouched_logging() -> Iterator[None]:
    """Give back what the command changes for its own process."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers, root.level = handlers, level


class _Stream(io.TextIOWrapper):
    """A standard stream that keeps what is written."""

    def __init__(self) -> None:
        self._kept = io.BytesIO()
        super().__init__(self._kept, encoding="utf-8", write_through=True)

    def text(self) -> str:
        self.flush()
        return self._kept.getvalue().decode()
