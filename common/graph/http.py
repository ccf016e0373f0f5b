"""One request to Graph or to the login service: TLS always verified, time-outs always set, redirects never followed.

Tokens go to the Graph origin of their own cloud only; a link of another origin is refused before anything is sent.
Nothing at all is sent to anybody but the Graph and the login service of that cloud: the latter too names addresses, and
gets the client secret.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import requests
from requests.adapters import HTTPAdapter

from common import __version__, logging
from common.cloud import LOGIN_NAMES, Cloud
from common.config import Settings
from common.errors import AccessError, BadPageError
from common.graph import metrics
from common.graph.answers import GraphThrottledError, GraphUnavailableError, raise_for_answer

CONNECTIONS = 32
CROOKED = re.compile(r"[\x00-\x20\x7f\\]")
"""What no address contains as it stands, and what one reader of addresses drops where another splits them."""

Origin = tuple[str, str, int]
"""Scheme, host and port."""

log = logging.get("graph")


class VerifiedSession(requests.Session):
    """A session that speaks to one cloud's Graph and login service alone, and never waits for ever; MSAL uses it too.

    Its CA bundle wins over REQUESTS_CA_BUNDLE. Without a `cloud` it is the one that the settings describe.
    """

    def __init__(self, settings: Settings, cloud: Cloud | None = None) -> None:
        super().__init__()
        self.cloud = cloud or settings.cloud(None)
        self._verify = str(settings.ca_bundle) if settings.ca_bundle else True
        self._timeout_seconds = settings.graph_timeout_seconds
        self._origins = {_origin(self.cloud.graph_url), *_login_origins(self.cloud)}
        self.mount("https://", HTTPAdapter(pool_connections=4, pool_maxsize=CONNECTIONS))
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Send a request as `requests` does, with our bundle and time-out; never follows a redirect."""
        options["verify"] = self._verify
        options["allow_redirects"] = False
        if options.get("timeout") is None:
            options["timeout"] = self._timeout_seconds
        return super().request(method, url, *args, **options)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a prepared request; every request of the session comes by here.

        Raises:
            requests.exceptions.InvalidURL: it is addressed to a stranger; nothing was sent.
        """
        if not _is_among(self._origins, request.url or ""):
            raise requests.exceptions.InvalidURL("A foreign origin.")
        return super().send(request, **options)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Find none: `requests` reads where a redirect leads even if it is not followed, and fails at nonsense."""

    def send_verbatim(self, prepared: requests.PreparedRequest, timeout_seconds: float | None) -> requests.Response:
        """Send a prepared request as it stands, under the same rules."""
        environment = self.merge_environment_settings(prepared.url or "", {}, False, self._verify, None)
        timeout = timeout_seconds or self._timeout_seconds
        return self.send(prepared, allow_redirects=False, timeout=timeout, **environment)


class AccessToken(Protocol):
    """Where access tokens come from; see `common.graph.tokens.Tokens`."""

    def __call__(self, renew: bool) -> str: ...
    def forget(self) -> None: ...


class GraphHttp:
    """Authorised requests to the one Graph origin of a cloud; shared by all tenants in it and all threads."""

    def __init__(self, session: VerifiedSession) -> None:
        self.root = session.cloud.graph_url
        self.session = session
        self._origin = _origin(self.root)

    def call(
        self,
        method: str,
        url: str,
        token: AccessToken,
        *,
        body: dict[str, Any] | None = None,
        carries_token: bool = False,
        timeout_seconds: float | None = None,
    ) -> dict[str, Any]:
        """Send one request and return the JSON object of the answer ({} when there is none).

        `token(renew)` returns an access token, a new one when `renew`. `carries_token` tells that the address holds a
        delta or page token, so that an answer may mean that this token is dead.

        Raises:
            BadPageError: an address of another origin, or an answer that is no JSON object.
            GraphNotFoundError, AccessError, ResyncNeededError, RetryLaterError: see `common.graph.answers`.
        """
        self.require_own_origin(url)
        response = self._send(method, url, token(False), body, timeout_seconds)
        if response.status_code == requests.codes.unauthorized:
            # Graph refuses a valid token once in a while: a new one and one more try tell which case it is.
            response = self._send(method, url, token(True), body, timeout_seconds)
        try:
            raise_for_answer(response, carries_token=carries_token)
        except AccessError:
            token.forget()  # consent shows only in a token that is made after it was given
            raise
        except GraphThrottledError as error:
            metrics.count_throttling(error.delay_seconds)
            raise
        except GraphUnavailableError:
            self.session.get_adapter(self.root).close()  # the next try begins with a new connection
            raise
        return _json_object(response)

    def require_own_origin(self, url: str) -> None:
        """Refuse an address that is not under the Graph origin of the cloud.

        Raises:
            BadPageError: it is not; nothing was sent.
        """
        if not self.is_own(url):
            raise BadPageError("Graph named a link of a foreign origin; it was not followed.")

    def is_own(self, url: str) -> bool:
        """Tell whether an address is under the Graph origin of the cloud."""
        return _is_among({self._origin}, url)

    def _send(
        self, method: str, url: str, token: str, body: dict[str, Any] | None, timeout_seconds: float | None
    ) -> requests.Response:
        request_id = str(uuid4())

        def bearer(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
            prepared.headers["Authorization"] = f"Bearer {token}"  # as `auth`, since else a .netrc would replace it
            return prepared

        headers = {
            "Accept": "application/json",
            "User-Agent": f"entra-sms-sync/{__version__}",
            "client-request-id": request_id,
            "x-ms-throttle-priority": "Low",
        }
        try:
            prepared = self.session.prepare_request(
                requests.Request(method, url, headers=headers, json=body, auth=bearer)
            )
            prepared.url = url  # links of Graph go back untouched; `requests` would quote them anew
            with metrics.REQUEST_SECONDS.time():
                response = self.session.send_verbatim(prepared, timeout_seconds)
        except requests.RequestException as error:
            metrics.count_no_answer()
            raise GraphUnavailableError(f"Graph cannot be reached: {type(error).__name__}.") from None
        metrics.count_answer(response)
        if response.status_code >= requests.codes.bad_request:
            log.info(
                "graph_refused",
                status=response.status_code,
                client_request_id=request_id,
                request_id=response.headers.get("request-id"),
            )
        return response


def _json_object(response: requests.Response) -> dict[str, Any]:
    if response.status_code == requests.codes.no_content or not response.content:
        return {}
    try:
        answer = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise BadPageError("Graph answered with something that is not JSON, or cut short.") from None
    if not isinstance(answer, dict):
        raise BadPageError("Graph answered with JSON that is not an object.")
    return answer


def _is_among(origins: Collection[Origin], url: str) -> bool:
    """Whether every reader of addresses finds one of `origins` in `url`."""
    try:
        parts = urlsplit(url)
        straight = parts.username is None and parts.password is None and not CROOKED.search(url)
        return straight and _origin(url) in origins
    except ValueError:
        return False


def _login_origins(cloud: Cloud) -> set[Origin]:
    login = _origin(cloud.login_url)
    names = next((names for names in LOGIN_NAMES if login in {("https", name, 443) for name in names}), frozenset())
    return {login, *(("https", name, 443) for name in names)}


def _origin(url: str) -> Origin:
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or 443
