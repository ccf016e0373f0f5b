"""A run: one occupied folder `var/<purpose>` with its lock, its logs and its processes.

The lock is held by the owner as long as it lives, and the kernel drops it with the owner. So whoever gets the lock
knows that the owner before is gone, and ends what that one left behind. What was started to stay (`broker up`) stays.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self, TextIO

from deploy.local import processes
from deploy.local.errors import LocalServiceError
from deploy.local.locks import try_lock
from deploy.local.paths import ROOT, VAR
from deploy.local.processes import POLITE, Ending, Identity, PidFile, Process, Record

Say = Callable[[str], None]

_PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,30}")
_RUNS_AT_ONCE = 50


def say(sentence: str) -> None:
    """Progress of slow steps, for a person: standard error, so that results can be piped."""
    print(sentence, file=sys.stderr, flush=True)


def exit_on_signals() -> None:
    """Let SIGTERM and a closed terminal end this process by SystemExit, so that leaving its run stops the children."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


class Run:
    """The exclusive right to `var/<purpose>`; leaving it stops, newest first, what it started."""

    def __init__(self, directory: Path, lock: TextIO) -> None:
        self.directory = directory
        self._exits = ExitStack()  # goes on when one child cannot be stopped
        self._exits.callback(lock.close)

    @classmethod
    def claim(cls, purpose: str, *, var: Path = VAR, several: bool = False) -> Self:
        """Occupy the folder of a purpose.

        Args:
            purpose: Such as "demo", "smoke" or "test".
            var: The `var/` folder to use.
            several: When somebody lives in that folder, take `<purpose>-2` and so on instead of refusing.
        """
        if not _PURPOSE.fullmatch(purpose):
            raise LocalServiceError(f"A purpose is a short word of a-z, 0-9 and '-', such as demo; not {purpose!r}.")
        for number in range(1, _RUNS_AT_ONCE):
            directory = var / (purpose if number == 1 else f"{purpose}-{number}")
            lock = try_lock(directory / "lock")
            if lock is not None:
                _write_owner(lock)
                end_leftovers(directory)
                return cls(directory, lock)
            if not several:
                raise LocalServiceError(
                    f"A {purpose} already runs in this clone{_owner_words(directory)}; "
                    f"stop that one first, or use another clone: two clones never meet."
                )
        raise LocalServiceError(f"{_RUNS_AT_ONCE} runs of {purpose} live in {var}; stop some of them.")

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        mark: str | None = None,
        kept: bool = False,
        ending: Ending = POLITE,
        setpriv: Sequence[str] = (),
    ) -> Process:
        """Start a child of this run; see `processes.start`. Without `env` it inherits this process's environment."""
        child = processes.start(
            name,
            command,
            folder=self.directory,
            env=os.environ if env is None else env,
            cwd=cwd,
            mark=mark,
            kept=kept,
            ending=ending,
            setpriv=setpriv,
        )
        self._exits.callback(child.release if kept else child.stop)
        return child

    def close(self) -> None:
        self._exits.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def end_leftovers(directory: Path) -> list[str]:
    """End what a former owner of the folder left alive, but not what was started to stay; the names."""
    return _end(directory, lambda _, record: not record.kept)


def end_processes(directory: Path, *names: str) -> list[str]:
    """End the processes of these names, or all, also those that were started to stay; the names of what was ended."""
    return _end(directory, lambda name, _: not names or name in names)


def _end(directory: Path, is_meant: Callable[[str, Record], bool]) -> list[str]:
    ended = []
    for path in sorted((directory / "pids").glob("*.json")):
        file = PidFile(path)
        record = file.read()
        if record is not None and record.identity.is_alive:
            if not is_meant(path.stem, record):
                continue
            record.identity.end(record.ending)
            ended.append(path.stem)
        file.remove()
    return ended


def runs_there(directory: Path, name: str) -> bool:
    """Whether the process of that name lives, whoever started it."""
    record = PidFile(directory / "pids" / f"{name}.json").read()
    return record is not None and record.identity.is_alive


def owner(directory: Path) -> Identity | None:
    """Who wrote its name into the lock last; alive or not."""
    try:
        fields = json.loads((directory / "lock").read_text())
        return Identity(**fields)
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _write_owner(lock: TextIO) -> None:
    me = Identity.of(os.getpid(), "")
    lock.truncate(0)
    lock.write(json.dumps(asdict(me)) if me else "")
    lock.flush()


def _owner_words(directory: Path) -> str:
    holder = owner(directory)
    return f" (pid {holder.pid})" if holder is not None and holder.is_alive else ""
