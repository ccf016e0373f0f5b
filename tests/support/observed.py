"""What the kernel says about processes and their sockets, for tests that must not take a program's word for it."""

import os
from contextlib import suppress
from pathlib import Path

_LISTENING = "0A"


def processes_of(folder: Path) -> set[int]:
    """The pids of all living processes that were started for a folder: it stands in their environment or arguments."""
    wanted = os.fsencode(folder)
    return {pid for pid in _pids() if pid != os.getpid() and not is_gone(pid) and wanted in _words_of(pid)}


def is_gone(pid: int) -> bool:
    """Whether the process ended; a zombie did."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    return True


def children_of(pid: int) -> list[int]:
    """The pids of the living processes that this one started."""
    return [one for one in _pids() if _parent_of(one) == pid]


def listening_of(pids: set[int]) -> set[tuple[str, int]]:
    """The (address, port) pairs on which these processes listen; the address in the kernel's hexadecimal."""
    inodes = {inode for pid in pids for inode in _socket_inodes(pid)}
    rows = [row for table in ("tcp", "tcp6") for row in _rows(table)]
    return {_place(row[1]) for row in rows if row[3] == _LISTENING and row[9] in inodes}


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent_of(pid: int) -> int | None:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def _words_of(pid: int) -> bytes:
    words = b""
    for name in ("environ", "cmdline"):
        with suppress(OSError):
            words += Path(f"/proc/{pid}/{name}").read_bytes()
    return words


def _socket_inodes(pid: int) -> list[str]:
    inodes = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.append(target[8:-1])
    return inodes


def _rows(table: str) -> list[list[str]]:
    path = Path(f"/proc/net/{table}")
    return [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []


def _place(text: str) -> tuple[str, int]:
    address, _, port = text.partition(":")
    return address, int(port, 16)
