"""Access tokens: JWTs signed by the simulator, with the permissions of the moment baked in.

The claims are those that application tokens for Microsoft Graph carry; clients should treat them as opaque.
"""

from __future__ import annotations

import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from simulator.application import Application


class AccessTokens:
    """Issues and verifies; the signing key lives as long as the process."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        self._public_key = self._key.public_key()
        self.key_id = uuid.uuid4().hex

    def issue(self, tenant_id: str, application: Application, audience: str, now: float, lifetime: float) -> str:
        """Return a token for `audience`; times are simulated epoch seconds."""
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{tenant_id}/",
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now + lifetime),
            "appid": application.client_id,
            "idtyp": "app",
            "oid": application.service_principal_id,
            "sub": application.service_principal_id,
            "tid": tenant_id,
            "uti": uuid.uuid4().hex,
            "ver": "1.0",
        }
        if application.roles:
            claims["roles"] = list(application.roles)
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self.key_id})

    def verify(self, text: str) -> dict[str, Any] | None:
        """Return the claims of a token that was issued here, None for any other text. Expiry is the caller's part."""
        try:
            claims: dict[str, Any] = jwt.decode(
                text,
                self._public_key,
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False},
            )
        except jwt.InvalidTokenError:
            return None
        return claims
