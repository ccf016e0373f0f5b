"""Access tokens by client credentials (MSAL), and plain words for what Entra answers when it refuses one."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

import msal
import orjson
import requests
from msal.exceptions import MsalError

from common.errors import AccessError, EntraSmsError
from common.graph.answers import GraphUnavailableError
from common.graph.credentials import Credentials
from common.graph.http import VerifiedSession

HOW_TO_RENEW = (
    "In the Entra admin center open App registrations > your application > Certificates & secrets, make a new client "
    "secret and copy its Value (not its Secret ID)."
)
ONE_CLOUD = (
    "Graph and the login service must be of the same cloud: compare the tenant's cloud (entra-sms tenants show), or "
    "ENTRA_SMS_GRAPH_URL and ENTRA_SMS_LOGIN_URL."
)
BUSY = "temporarily_unavailable"
REFUSALS: dict[int, tuple[str, str]] = {
    7000215: ("The client secret is wrong.", HOW_TO_RENEW),
    7000222: ("The client secret has expired.", HOW_TO_RENEW),
    700016: (
        "The application is not known in this tenant.",
        "Compare the Application (client) ID and the Directory (tenant) ID on the application's Overview page.",
    ),
    90002: (
        "The tenant does not exist.",
        "Compare the Directory (tenant) ID on the application's Overview page, and check the cloud (--cloud).",
    ),
    900023: ("The tenant id is malformed.", "Copy the Directory (tenant) ID from the application's Overview page."),
    700027: (
        "The certificate is not accepted.",
        "Upload the certificate's public part under Certificates & secrets and check that it has not expired.",
    ),
    700011: (
        "The application is not known in this tenant.",
        "Compare the Application (client) ID and the Directory (tenant) ID on the application's Overview page.",
    ),
    7000112: (
        "The application is disabled in this tenant.",
        "Under Enterprise apps > your application > Properties set 'Enabled for users to sign-in?' to Yes.",
    ),
    7000229: (
        "The application has no service principal in this tenant.",
        "Under App registrations > your application > Overview click 'Create service principal', then grant consent.",
    ),
    53003: (
        "A Conditional Access policy blocks the application.",
        "Leave the application out of the policy for workload identities, or let it in from this machine's address.",
    ),
    700024: (
        "The time in what was signed with the certificate is not accepted.",
        "Let a time service (NTP) set this machine's clock: Entra refuses what is off by more than five minutes.",
    ),
    90038: ("The tenant is in another cloud of Microsoft.", ONE_CLOUD),
    900382: ("The tenant is in another cloud of Microsoft.", ONE_CLOUD),
    900432: ("The tenant is in another cloud of Microsoft.", ONE_CLOUD),
    1000502: (
        "The certificate has expired, or is not valid yet.",
        "Make a new certificate and upload its public part under Certificates & secrets.",
    ),
    1002012: ("The scope is not accepted.", ONE_CLOUD),
    70011: ("The scope is not accepted.", ONE_CLOUD),
    500011: ("Graph is not known in this cloud.", ONE_CLOUD),
}
"""AADSTS number -> what is wrong, and what to click. Source: Microsoft Entra authentication error codes."""


class Tokens:
    """Access tokens of one tenant, in the cloud of `session`: made when first needed, cached, one request at a time."""

    def __init__(self, credentials: Credentials, session: VerifiedSession) -> None:
        self._authority = f"{session.cloud.login_url}/{credentials.tenant_id}"
        self._scopes = [f"{session.cloud.graph_url}/.default"]
        self._credentials = credentials
        self._session = session
        self._lock = threading.Lock()
        self._application: msal.ConfidentialClientApplication | None = None

    def __call__(self, renew: bool) -> str:
        """Return an access token; a new one when `renew`.

        Raises:
            AccessError: Entra refuses the credentials, with what to do.
            GraphUnavailableError: the login service cannot be reached or is in trouble.
        """
        with self._lock:
            try:
                answer = self._acquire(renew=renew)
            except (requests.RequestException, MsalError, ValueError) as error:  # ValueError: the answer is no JSON
                raise GraphUnavailableError(f"The login service failed: {type(error).__name__}.") from None
        if "access_token" in answer:
            return str(answer["access_token"])
        raise _refusal(answer)

    def forget(self) -> None:
        """Fetch a new access token when one is needed next."""
        with self._lock:
            if self._application is not None:
                self._application.remove_tokens_for_client()

    def _acquire(self, *, renew: bool) -> dict[str, Any]:
        application = self._application or self._make_application()
        self._application = application
        if renew:
            application.remove_tokens_for_client()
        answer: dict[str, Any] = application.acquire_token_for_client(scopes=self._scopes)
        if "access_token" not in answer and answer.get("error") != BUSY:
            # MSAL would repeat a refusal from memory for a minute: the next try is to ask Entra itself. Only when Entra
            # asked to be left alone is that memory right.
            self._application = None
        return answer

    def _make_application(self) -> msal.ConfidentialClientApplication:
        """Make MSAL's application; it asks the authority's discovery document, which tells unknown tenants."""
        try:
            return msal.ConfidentialClientApplication(
                self._credentials.client_id,
                client_credential=self._credentials.credential.for_msal(),
                authority=self._authority,
                instance_discovery=False,  # the authority comes from the settings; nobody else is to be asked
                http_client=self._session,
            )
        except (ValueError, LookupError, TypeError, AttributeError, RuntimeError):
            raise self._discovery_trouble() from None

    def _discovery_trouble(self) -> EntraSmsError:
        """Ask for the discovery document ourselves: MSAL raises the same for an unknown tenant and a proxy's page."""
        response = self._session.get(f"{self._authority}/v2.0/.well-known/openid-configuration")
        answer = _object(response) if response.status_code == requests.codes.bad_request else {}
        if "error" in answer:
            return _refusal(answer)
        return GraphUnavailableError(f"The login service answered {response.status_code} in an unknown shape.")


def roles_of(token: str) -> frozenset[str] | None:
    """Return the application permissions that a token shows, or None where it shows nothing.

    Graph's tokens are opaque to a client by contract: this may explain something to a person, and decide nothing else.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return frozenset(str(role) for role in claims["roles"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None


def _object(response: requests.Response) -> dict[str, Any]:
    try:
        answer = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _refusal(answer: dict[str, Any]) -> EntraSmsError:
    codes = answer.get("error_codes") or []
    number = codes[0] if codes and isinstance(codes[0], int) else 0
    error = str(answer.get("error", "unknown"))
    if error == BUSY:
        return GraphUnavailableError("The login service is temporarily unavailable.")
    code = f"AADSTS{number}" if number else error
    reason, advice = REFUSALS.get(
        number, (f"Entra refused the application ({error}).", "Look the code up in Microsoft's list of AADSTS codes.")
    )
    return AccessError(f"{reason} [{code}]", advice, code)
