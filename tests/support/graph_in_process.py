"""The simulated Graph without a network: real requests and real answers, carried by a function call."""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import requests
from flask import Flask
from requests.adapters import BaseAdapter

from common.config import Settings
from common.db.tenants import Tenant
from common.graph.client import GraphClient
from common.graph.http import GraphHttp, VerifiedSession
from common.secrets import Vault

AUDIENCE = "https://graph.microsoft.com"


class FlaskAdapter(BaseAdapter):
    """Hands each request to an application; `passing` is called right before and right after."""

    def __init__(self, app: Flask, passing: Callable[[str], None]) -> None:
        super().__init__()
        self._client = app.test_client(use_cookies=False)
        self._passing = passing

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        del stream, timeout, verify, cert, proxies
        self._passing("fetch")
        path = str(request.url).removeprefix(AUDIENCE)
        answer = self._client.open(
            path, base_url=AUDIENCE, method=str(request.method), headers=dict(request.headers), data=request.body
        )
        response = requests.Response()
        response.status_code = answer.status_code
        response.headers.update(dict(answer.headers))
        response.url = str(request.url)
        response.request = request
        response.raw = BytesIO(answer.data)
        self._passing("fetched")
        return response

    def close(self) -> None:
        """Nothing is open."""


class _FixedToken:
    """An access token that never runs out."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __call__(self, renew: bool) -> str:
        del renew
        return self._text

    def forget(self) -> None:
        """There is no other."""


class ClientsInProcess:
    """Stands in for `worker.clients.Clients`: real clients of one tenant, signed in already."""

    def __init__(self, settings: Settings, app: Flask, token: str, passing: Callable[[str], None]) -> None:
        session = VerifiedSession(settings)
        session.trust_env = False
        session.mount("https://", FlaskAdapter(app, passing))
        self._settings = settings
        self._token = token
        self._http = GraphHttp(session)
        self._clients: dict[tuple[str, ...], GraphClient] = {}

    def of(self, tenant: Tenant) -> GraphClient:
        also = tenant.scope.properties
        if also not in self._clients:
            self._clients[also] = GraphClient(tenant.credentials(Vault(self._settings)), self._http, also=also)
            token: Any = _FixedToken(self._token)
            self._clients[also]._tokens = token
        return self._clients[also]
