"""The gate every Graph request passes: token, permission, budget, and the faults that strike before an answer.

Source: "Microsoft Graph error responses", "Microsoft Graph throttling guidance".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import g, request

from simulator import query, throttling
from simulator.graph_errors import GraphError, denied, unauthenticated
from simulator.tenant import Tenant
from simulator.world import World

GRAPH_AUDIENCES = ("https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000")
_SERVER_ERRORS = {
    "500": ("InternalServerError", "An error has occurred."),
    "502": ("BadGateway", "The gateway received an invalid answer."),
    "503": ("serviceNotAvailable", "The service is temporarily unavailable."),
    "504": ("GatewayTimeout", "The gateway did not receive an answer in time."),
}


@dataclass(frozen=True)
class Caller:
    """Who asks, and by what name of this host.

    Attributes:
        origin: Scheme and host that the client used, for absolute links.
        root: The service root at that origin, `https://host:port/v1.0`.
    """

    tenant: Tenant
    client_id: str
    roles: frozenset[str]
    origin: str

    @property
    def root(self) -> str:
        return f"{self.origin}/v1.0"

    def may(self, *any_of: str) -> bool:
        return not self.roles.isdisjoint(any_of)


class Gate:
    """Admits requests to the tenants of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def admit(self, *any_of: str, base_cost: int = 1) -> Caller:
        """Return the caller if its token carries one of the permissions (any token when none is named).

        Raises:
            GraphError: 401, 403, 429 or a server error.
        """
        caller = self.identify()
        if any_of and not caller.may(*any_of):
            raise denied()
        self._charge(caller, base_cost)
        self._strike(caller)
        return caller

    def identify(self) -> Caller:
        """Return who sent the request, whatever it may do; 401 when the token is missing, foreign or expired."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise unauthenticated("Access token is empty.")
        claims = self._world.access_tokens.verify(text.strip())
        tenant = self._world.tenants.get(claims["tid"]) if claims else None
        if claims is None or tenant is None:
            raise unauthenticated("Access token validation failure. Invalid signature.")
        g.tenant = tenant
        if not is_graph_audience(claims["aud"], request.host):
            raise unauthenticated("Access token validation failure. Invalid audience.")
        if claims["exp"] <= tenant.clock.now():
            raise unauthenticated("Lifetime validation failed, the token is expired.")
        if tenant.faults.fires("transient_unauthorized"):
            raise unauthenticated("Access token validation failure.")
        caller = Caller(tenant, claims["appid"], frozenset(claims.get("roles", ())), f"https://{request.host}")
        g.caller = caller
        return caller

    def _charge(self, caller: Caller, base_cost: int) -> None:
        given = query.options(request.args)
        top = int(given["top"]) if given.get("top", "").isdecimal() else None
        g.cost = throttling.cost(base_cost, has_select="select" in given, top=top)
        g.throttle_share = caller.tenant.throttle.admit(
            g.cost,
            low_priority=request.headers.get("x-ms-throttle-priority", "").lower() == "low",
            scope=f"Tenant_Application/ReadWrite/{caller.client_id}/{caller.tenant.id}",
        )

    def _strike(self, caller: Caller) -> None:
        faults = caller.tenant.faults
        if faults.fires("slow_response"):
            self._world.stopping.wait(faults.seconds("slow_response_seconds"))
        if faults.takes("server_error_next") or faults.fires("server_error"):
            raise server_error(faults.value("server_error_status"), faults.pick(sorted(_SERVER_ERRORS)))


def server_error(wanted: str, drawn: Any) -> GraphError:
    """Return a 5xx answer: the wanted status, or the drawn one when any will do."""
    status = drawn if wanted == "any" else wanted
    code, message = _SERVER_ERRORS[status]
    return GraphError(int(status), code, message)


def is_graph_audience(audience: str, own_host: str) -> bool:
    """Whether a token for that audience opens this Graph.

    Besides the names of the real service, the simulator answers to the host it was asked by and to any loopback
    address, so that it can stand behind a proxy on another port.
    """
    trimmed = audience.rstrip("/")
    if trimmed in GRAPH_AUDIENCES:
        return True
    parts = urlsplit(trimmed)
    if parts.scheme != "https" or parts.path:
        return False
    return parts.netloc == own_host or parts.hostname in ("localhost", "127.0.0.1", "::1")
