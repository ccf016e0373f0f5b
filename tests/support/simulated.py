"""`python -m simulator` as a process: a directory to connect to, and its controls."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.local.control import Control
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]


class Simulator(Control):
    """A running simulator with one tenant."""

    @property
    def settings(self) -> dict[str, str]:
        return {"graph_url": self.url, "login_url": self.url, "ca_bundle": self.ca_file}

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call a control of the tenant; `docs/simulator.md` describes them."""
        return self.call(method, path.removeprefix("/"), body)


@contextmanager
def simulator(folder: Path, *, users: int = 20, groups: int = 5) -> Iterator[Simulator]:
    """Run a simulator that keeps its state in `folder`."""
    size = ["--users", str(users), "--groups", str(groups), "--seed", "1", "--port", "0"]
    command = [sys.executable, "-m", "simulator", *size, "--state-directory", str(folder)]
    with (
        (folder / "simulator.log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as process,
    ):
        try:
            announcement = folder / "simulator.json"
            eventually(lambda: announcement.exists() or process.poll() is not None, what="a simulator that is ready")
            yield Simulator.of(announcement)
        finally:
            process.terminate()
