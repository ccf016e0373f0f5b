"""Graph for unit tests: its addresses, a client of it, and an access token that counts how often it was renewed."""

from dataclasses import dataclass, field
from typing import Any

import responses

from common.config import Settings, load
from common.graph.client import GraphClient
from common.graph.credentials import ClientSecret, Credentials
from common.graph.http import GraphHttp, VerifiedSession

GRAPH = "https://graph.example"
LOGIN = "https://login.example"
TENANT = "5ecabc00-0000-4000-8000-000000000001"
SECRET = "s3cret~of.the-tests"

DISCOVERY = f"{LOGIN}/{TENANT}/v2.0/.well-known/openid-configuration"
TOKEN = f"{LOGIN}/{TENANT}/oauth2/v2.0/token"
DELTA_LINK = f"{GRAPH}/v1.0/users/delta?$deltatoken=first"


def settings(**changed: str) -> Settings:
    values = {"graph_url": GRAPH, "login_url": LOGIN} | changed
    return load({f"ENTRA_SMS_{name.upper()}": value for name, value in values.items()})


def credentials() -> Credentials:
    return Credentials(TENANT, "app-1", ClientSecret(SECRET))


def graph_http(**changed: str) -> GraphHttp:
    return GraphHttp(VerifiedSession(settings(**changed)))


def client(**changed: str) -> GraphClient:
    return GraphClient(credentials(), graph_http(**changed))


@dataclass
class CountedToken:
    """Stands in for `Tokens`: each renewal makes another token."""

    number: int = 1
    renewals: int = 0
    forgotten: int = 0
    given: list[str] = field(default_factory=list)

    def __call__(self, renew: bool) -> str:
        self.renewals += renew
        self.number += renew
        self.given.append(f"token-{self.number}")
        return self.given[-1]

    def forget(self) -> None:
        self.forgotten += 1


def error(code: str, message: str = "", **more: Any) -> dict[str, Any]:
    """The body of an answer with which Graph refuses."""
    return {"error": {"code": code, "message": message, **more}}


def refusal(number: int, name: str = "invalid_client") -> dict[str, Any]:
    """The body of an answer with which the login service refuses."""
    return {
        "error": name,
        "error_description": f"AADSTS{number}: words.\r\nTrace ID: 1\r\nCorrelation ID: 2\r\nTimestamp: now",
        "error_codes": [number],
        "correlation_id": "2",
    }


def allow_discovery(mock: responses.RequestsMock) -> None:
    document = {
        "token_endpoint": TOKEN,
        "authorization_endpoint": f"{LOGIN}/{TENANT}/oauth2/v2.0/authorize",
        "issuer": f"{LOGIN}/{TENANT}/v2.0",
    }
    mock.get(DISCOVERY, json=document)


def allow_login(mock: responses.RequestsMock) -> None:
    """Let MSAL find the login service and get a token."""
    allow_discovery(mock)
    mock.post(TOKEN, json={"token_type": "Bearer", "expires_in": 3599, "access_token": "a-token"})
