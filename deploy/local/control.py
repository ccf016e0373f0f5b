"""The simulator's control API, as the demo, the smoke test and the system tests use it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import requests

_ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Control:
    """A running simulator, and the first of its tenants."""

    url: str
    ca_file: str
    tenant_id: str
    client_id: str
    client_secret: str
    domain: str

    @classmethod
    def of(cls, state_file: Path) -> Self:
        """Read `simulator.json`, which the simulator writes when it is ready."""
        state = json.loads(state_file.read_text())
        tenant = state["tenants"][0]
        return cls(
            url=state["url"],
            ca_file=state["ca_file"],
            tenant_id=tenant["tenant_id"],
            client_id=tenant["client_id"],
            client_secret=tenant["client_secret"],
            domain=tenant["domain"],
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call `path` below the tenant's control address and return the JSON of the answer; None if it has none."""
        with requests.Session() as session:
            session.trust_env = False  # a proxy or a CA bundle of the shell has no business on loopback
            answer = session.request(
                method,
                f"{self.url}/control/tenants/{self.tenant_id}/{path}",
                json=body,
                verify=self.ca_file,
                timeout=_ANSWER_SECONDS,
            )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def directory(self) -> dict[str, Any]:
        """Return the truth: all live users and groups with their members."""
        directory: dict[str, Any] = self.call("GET", "directory")
        return directory

    def changes_after(self, sequence: int) -> list[dict[str, Any]]:
        changes: list[dict[str, Any]] = self.call("GET", f"changes?after={sequence}")["changes"]
        return changes

    def fired(self) -> dict[str, int]:
        """Return how often each fault happened."""
        fired: dict[str, int] = self.call("GET", "faults")["fired"]
        return fired

    def graph_requests(self) -> int:
        """Return how many requests Graph has been asked (the login service not counted)."""
        requests_by_route: dict[str, dict[str, int]] = self.call("GET", "statistics")["requests"]
        return sum(
            count
            for route, by_status in requests_by_route.items()
            if " /v1.0/" in route
            for count in by_status.values()
        )
