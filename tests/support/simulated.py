"""`python -m simulator` as a process: a directory to connect to, and its controls."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Simulator:
    """A running simulator with one tenant."""

    url: str
    ca_file: str
    tenant_id: str
    client_id: str
    client_secret: str
    domain: str

    @property
    def settings(self) -> dict[str, str]:
        return {"graph_url": self.url, "login_url": self.url, "ca_bundle": self.ca_file}

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call a control of the tenant; `docs/simulator.md` describes them."""
        address = f"{self.url}/control/tenants/{self.tenant_id}{path}"
        with requests.Session() as session:
            answer = session.request(method, address, json=body, verify=self.ca_file, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None


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
            found = json.loads(announcement.read_text())
            tenant = found["tenants"][0]
            yield Simulator(
                url=found["url"],
                ca_file=found["ca_file"],
                tenant_id=tenant["tenant_id"],
                client_id=tenant["client_id"],
                client_secret=tenant["client_secret"],
                domain=tenant["domain"],
            )
        finally:
            process.terminate()
