"""Graph clients, one a tenant, kept while its credentials stay the same; those of one cloud share its connections."""

from __future__ import annotations

import threading

from common.cloud import Cloud
from common.config import Settings
from common.db.tenants import Tenant
from common.graph.client import GraphClient
from common.graph.http import GraphHttp, VerifiedSession
from common.secrets import Vault

CLIENTS_KEPT = 10_000


class Clients:
    """A cache of `GraphClient`s; thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._vault = Vault(settings)
        self._lock = threading.Lock()
        self._https: dict[Cloud, GraphHttp] = {}
        self._clients: dict[str, tuple[str, GraphClient]] = {}

    def of(self, tenant: Tenant) -> GraphClient:
        """Return the client of `tenant`, a new one when its credentials, its cloud or its scope have changed.

        Raises:
            SettingsError: its credentials cannot be decrypted, or the settings do not know its cloud.
        """
        also = tenant.scope.properties
        made_of = "\n".join((tenant.client_id, tenant.sealed_credential, str(tenant.cloud), *also))
        with self._lock:
            known = self._clients.get(tenant.tenant_id)
            if known is not None and known[0] == made_of:
                return known[1]
            http = self._http_to(self._settings.cloud(tenant.cloud))
            client = GraphClient(tenant.credentials(self._vault), http, also=also)
            if len(self._clients) >= CLIENTS_KEPT:
                self._clients.clear()  # they are cheap to make again; their tokens are asked for anew
            self._clients[tenant.tenant_id] = (made_of, client)
            return client

    def _http_to(self, cloud: Cloud) -> GraphHttp:
        if cloud not in self._https:
            self._https[cloud] = GraphHttp(VerifiedSession(self._settings, cloud))
        return self._https[cloud]
