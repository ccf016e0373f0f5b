"""Child processes that end when they should: with their owner, on request, or when the next start finds them left over.

Each child is the leader of a session of its own and asks the kernel for SIGKILL when its owner dies. A pid file says
who it is. A pid alone proves nothing, since pids are used again: the start time, the boot and the command line must
match before anything is signalled, and the signal goes through a pidfd, which cannot come to mean another process.
"""

import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from deploy.local.errors import LocalServiceError

_KILLED_WITHIN_SECONDS = 10.0
_LOG_LINES_SHOWN = 15


@dataclass(frozen=True)
class Ending:
    """How a process is ended, politely first."""

    first: str = "TERM"  # the signal that asks
    grace_seconds: float = 10.0  # until SIGKILL
    orphaned: str = "KILL"  # the signal that the kernel sends when the owner dies


POLITE = Ending()
AT_ONCE = Ending("KILL", grace_seconds=0)


@dataclass(frozen=True)
class Identity:
    """What tells a process from a later one with the same pid, and survives an exec."""

    pid: int
    started_ticks: int
    boot: str
    mark: str  # a text that its command line contains

    @classmethod
    def of(cls, pid: int, mark: str) -> Self | None:
        ticks = _started_ticks(pid)
        return None if ticks is None else cls(pid, ticks, _boot(), mark)

    @property
    def is_alive(self) -> bool:
        if _boot() != self.boot or _started_ticks(self.pid) != self.started_ticks:
            return False
        command = _command_line(self.pid)
        return not command or self.mark in command  # there is none for the instant of an exec

    def end(self, ending: Ending) -> None:
        """End the process, and with SIGKILL what is left of its session once the grace is over."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.is_alive:  # asked after the handle was opened, so it is this process that the handle means
                self._end(handle, ending)
        finally:
            os.close(handle)

    def _end(self, handle: int, ending: Ending) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.Signals[f"SIG{ending.first}"])
        _has_ended(handle, ending.grace_seconds)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if not _has_ended(handle, _KILLED_WITHIN_SECONDS):
            raise LocalServiceError(f"Process {self.pid} ({self.mark}) does not end, not even by SIGKILL.")


@dataclass(frozen=True)
class Record:
    """What a pid file says about a child."""

    identity: Identity
    ending: Ending
    kept: bool  # meant to outlive its starter


@dataclass(frozen=True)
class PidFile:
    """The record of one child on disk, so that whoever comes after a killed owner can find it."""

    path: Path

    def write(self, record: Record) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(record)))
        draft.replace(self.path)

    def read(self) -> Record | None:
        try:
            fields = json.loads(self.path.read_text())
            return Record(Identity(**fields["identity"]), Ending(**fields["ending"]), fields["kept"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


class Process:
    """A child of this process."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], record: Record, *, log: Path, file: PidFile) -> None:
        self.name = name
        self.pid = popen.pid
        self.log = log
        self._popen = popen
        self._record = record
        self._file = file

    @property
    def exit_status(self) -> int | None:
        """None while it runs; as in `subprocess`, a negative number is the signal that ended it."""
        return self._popen.poll()

    def stop(self) -> None:
        """End it the way it was started for; ended already is fine."""
        self._end(self._record.ending)

    def kill(self) -> None:
        self._end(AT_ONCE)

    def release(self) -> None:
        """Let it outlive this process, which will not wait for it: `subprocess` would warn of that."""
        self._popen.returncode = 0

    def wait(self, seconds: float | None = None) -> int:
        return self._popen.wait(seconds)

    def require_alive(self) -> None:
        if self.exit_status is not None:
            raise LocalServiceError(f"{self.name} ended with status {self.exit_status}. {log_tail(self.log)}")

    def _end(self, ending: Ending) -> None:
        if self.exit_status is None:
            self._record.identity.end(ending)
        self._popen.wait(_KILLED_WITHIN_SECONDS)
        self._file.remove()


def start(
    name: str,
    command: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    cwd: Path,
    mark: str | None = None,
    kept: bool = False,
    ending: Ending = POLITE,
    setpriv: Sequence[str] = (),
) -> Process:
    """Start a child with its log in `folder/logs` and its pid file in `folder/pids`.

    Args:
        name: Names the log and the pid file.
        command: Must end up, after any exec, as a process whose command line contains `mark`.
        folder: The folder of the run that owns it.
        env: Its whole environment.
        cwd: Its working directory.
        mark: A text of the command line that no other process has; the last argument unless given.
        kept: Let it outlive this process.
        ending: How it is stopped.
        setpriv: Further options of setpriv(1), to run as another user.
    """
    log = folder / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        popen = subprocess.Popen(
            _with_privileges(command, orphaned=None if kept else ending.orphaned, options=setpriv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    identity = Identity.of(popen.pid, mark or command[-1])
    if identity is None:
        raise LocalServiceError(f"{name} ended at once with status {popen.wait()}. {log_tail(log)}")
    file = PidFile(folder / "pids" / f"{name}.json")
    record = Record(identity, ending, kept)
    file.write(record)
    return Process(name, popen, record, log=log, file=file)


def log_tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:] if log.exists() else []
    return f"The end of {log}:\n  " + "\n  ".join(lines or ["(empty)"])


def _with_privileges(command: Sequence[str], *, orphaned: str | None, options: Sequence[str]) -> list[str]:
    """Wrap a command in setpriv(1), which asks for the death signal after it changed the user and then execs.

    The kernel sends that signal when the *thread* that started the child ends, so only the main thread asks for it.
    """
    in_main = threading.current_thread() is threading.main_thread()
    wanted = [*options, *(["--pdeathsig", orphaned] if orphaned and in_main else [])]
    return ["setpriv", *wanted, "--", *command] if wanted else list(command)


def _started_ticks(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; None for a process that is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may contain anything
    return None if fields[0] in "ZX" else int(fields[19])


def _command_line(pid: int) -> str:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _has_ended(handle: int, seconds: float) -> bool:
    """Wait on a pidfd, which becomes readable when its process ends; whoever the parent is."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
