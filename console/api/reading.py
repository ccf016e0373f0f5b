"""Who reads, and what they may see: the key of a request, and the tenants that it opens.

A tenant that the key does not open is answered like one that does not exist, by the same statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import g
from sqlalchemy import Connection

from common.db import api_keys, tenants
from common.db.api_keys import ApiKey
from common.db.tenants import Tenant
from console.api.problems import Kind, ProblemError
from console.reads import teams
from console.reads.horizon import Horizon
from console.reads.teams import Team

_BEARER = "bearer "


@dataclass(frozen=True)
class Reading:
    """One request: the transaction that it reads in, and its key."""

    connection: Connection
    key: ApiKey
    horizon: Horizon

    def tenant(self, tenant_id: UUID) -> Tenant:
        """Return the tenant.

        Raises:
            ProblemError: there is none that the key opens.
        """
        wanted = str(tenant_id)
        found = tenants.get(self.connection, wanted) if self.key.opens(wanted) else None
        if found is None:
            raise ProblemError(
                Kind.NOT_FOUND, f"This key opens no tenant {wanted}. Those that it opens: GET /v1/tenants"
            )
        return found

    def group(self, tenant: Tenant, object_id: UUID) -> Team:
        """Return the group.

        Raises:
            ProblemError: the tenant has none with this id.
        """
        found = teams.get(self.connection, tenant.tenant_id, str(object_id))
        if found is None:
            raise ProblemError(Kind.NOT_FOUND, f"There is no group {object_id} in the address book of this tenant.")
        return found


def begin(connection: Connection, horizon: Horizon, authorization: str, now: datetime) -> Reading:
    """Begin a request that came with this ``Authorization``; `current` returns it until its end.

    Raises:
        ProblemError: there is no key in it that is valid now.
    """
    if not authorization.lower().startswith(_BEARER):
        raise _key_needed("Send a key: Authorization: Bearer esms_… An operator makes one with: entra-sms keys create")
    key = api_keys.of_text(connection, authorization[len(_BEARER) :].strip())
    if key is None or not key.is_valid(now):
        raise _key_needed(
            "The key is unknown, revoked or expired. An operator sees why with: entra-sms keys list",
            error="invalid_token",
        )
    g.reading = Reading(connection, key, horizon)
    return current()


def current() -> Reading:
    reading: Reading = g.reading
    return reading


def key_id() -> str | None:
    """Return the part of the request's key that is no secret; None: it has none that is valid."""
    return current().key.key_id if "reading" in g else None


def _key_needed(detail: str, error: str | None = None) -> ProblemError:
    challenge = 'Bearer realm="entra-sms"' + (f', error="{error}"' if error else "")
    return ProblemError(Kind.KEY_NEEDED, detail, {"WWW-Authenticate": challenge})
