"""Everything that runs for this clone, ended: `python3 -m deploy.local.leftovers`, which `make clean` calls first."""

import sys
from pathlib import Path

from deploy.local import runs
from deploy.local.errors import LocalServiceError
from deploy.local.locks import try_lock
from deploy.local.paths import VAR
from deploy.local.processes import POLITE
from deploy.local.runs import say


def end_all(var: Path = VAR) -> list[str]:
    """End the owners that live, what they left behind, and what was started to stay; the names of all of them."""
    return [name for lock in sorted(var.glob("*/lock")) for name in _end_run(lock)]


def _end_run(lock: Path) -> list[str]:
    directory = lock.parent
    ended = []
    held = try_lock(lock)
    if held is None:
        owner = runs.owner(directory)
        if owner is not None and owner.is_alive:
            owner.end(POLITE)
            ended.append(f"{directory.name} (pid {owner.pid})")
    else:
        held.close()
    return ended + [f"{name} of {directory.name}" for name in runs.end_processes(directory)]


if __name__ == "__main__":
    try:
        for name in end_all():
            say(f"Stopped {name}.")
    except LocalServiceError as error:
        sys.exit(str(error))
