"""Connects the simulated company of the Compose demo, by the command that an operator types.

Runs in the worker's container, where the simulator's folder is mounted: ``python deploy/demo_tenant.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ANNOUNCEMENT = Path("/run/simulator/simulator.json")


def command(tenant: dict[str, str]) -> list[str]:
    """Return the command; the client secret goes to its standard input."""
    return [
        "entra-sms", "tenants", "add", "--name", "Nordwind", "--domain", tenant["domain"],
        "--tenant-id", tenant["tenant_id"], "--client-id", tenant["client_id"], "--client-secret-file", "-",
        "--default-region", "PL", "--agreement-reference", "DEMO-1", "--agreement-date", "2026-01-15",
    ]  # fmt: skip


if __name__ == "__main__":
    if not ANNOUNCEMENT.is_file():
        sys.exit(f"There is no {ANNOUNCEMENT}: start with deploy/demo.yml, as docs/deployment.md shows.")
    company = json.loads(ANNOUNCEMENT.read_text(encoding="utf-8"))["tenants"][0]
    sys.exit(subprocess.run(command(company), input=company["client_secret"], text=True, check=False).returncode)
