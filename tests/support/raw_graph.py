"""A Graph that answers with bytes: the real client reads them, and a worker's turn may run on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO

import requests
from requests.adapters import BaseAdapter

from common.config import Settings
from common.db.tenants import Tenant
from common.graph.client import GraphClient
from common.graph.http import GraphHttp, VerifiedSession
from tests.support.graph import CountedToken, credentials, settings


@dataclass(frozen=True)
class RawAnswer:
    """An answer as it comes over the wire."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class RawGraph(BaseAdapter):
    """Gives its answers one after the other and the last one for ever. Stands in for `Clients` of one tenant."""

    def __init__(self, *answers: RawAnswer, found: Settings | None = None) -> None:
        super().__init__()
        found = found or settings()
        session = VerifiedSession(found)
        session.trust_env = False
        session.mount("https://", self)
        self.client = GraphClient(credentials(), GraphHttp(session))
        self.client._tokens = CountedToken()  # type: ignore[assignment]
        self._answers = list(answers)

    def of(self, _tenant: Tenant) -> GraphClient:
        return self.client

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
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update(answer.headers)
        response.url = str(request.url)
        response.request = request
        response.raw = BytesIO(answer.body)
        return response

    def close(self) -> None:
        """Nothing is open."""
