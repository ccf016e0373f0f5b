"""How much memory a process has had."""

from __future__ import annotations

import os
import re
from pathlib import Path


def peak_mib(pid: int | None = None) -> float:
    """Return the most memory that a process (this one, unless another is named) has had, in MiB; 0 when it has ended.

    It is what the kernel counts since the program was started. `getrusage` would count from its parent's on, which is
    still large when that forks: a small program started by a large one would seem to be as large.
    """
    try:
        status = Path(f"/proc/{pid or os.getpid()}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
