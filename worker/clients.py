"""Graph clients, one a tenant, kept while its credentials stay the same; all share one pool of connections."""

from __future__ import annotations

import threading

from common.config import Settings
from common.db.tenants import Tenant
from common.graph.client import GraphClient
from common.graph.http import GraphHttp
from common.secrets import Vault

CLIENTS_KEPT = 10_000


class Clients:
    """A cache of `GraphClient`s; thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._vault = Vault(settings)
        self._http = GraphHttp(settings)
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[str, GraphClient]] = {}

    def of(self, tenant: Tenant) -> GraphClient:
        """Return the client of `tenant`, a new one when its credentials have changed.

        Raises:
            SettingsError: its credentials cannot be decrypted.
        """
        made_of = f"{tenant.client_id}\n{tenant.sealed_credential}"
        with self._lock:
            known = self._clients.get(tenant.tenant_id)
            if known is not None and known[0] == made_of:
                return known[1]
            client = GraphClient(self._settings, tenant.credentials(self._vault), self._http)
            if len(self._clients) >= CLIENTS_KEPT:
                self._clients.clear()  # they are cheap to make again; their tokens are asked for anew
            self._clients[tenant.tenant_id] = (made_of, client)
            return client
