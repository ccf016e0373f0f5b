"""`simulator.json`: how other programs find a running simulator, written when it is ready to serve."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from simulator.world import World

FILE_NAME = "simulator.json"


def announce(directory: Path, origin: str, ca_file: Path, world: World) -> Path:
    """Write the announcement, whole or not at all, readable by its owner only since it holds client secrets."""
    body: dict[str, Any] = {
        "url": origin,
        "login_url": origin,
        "graph_url": origin,
        "control_url": f"{origin}/control",
        "ca_file": str(ca_file.resolve()),
        "pid": os.getpid(),
        "tenants": [tenant_card(world, tenant_id) for tenant_id in world.tenants],
    }
    target, draft = directory / FILE_NAME, directory / f".{FILE_NAME}.{os.getpid()}"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    draft.replace(target)
    return target


def tenant_card(world: World, tenant_id: str) -> dict[str, str]:
    """Return what a customer would type into the product: tenant id, domain, client id, client secret."""
    tenant = world.tenants[tenant_id]
    return {
        "tenant_id": tenant.id,
        "domain": tenant.domain,
        "client_id": tenant.application.client_id,
        "client_secret": tenant.application.client_secret,
    }
