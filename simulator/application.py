"""The registered application of a tenant: its secret, its certificate and the permissions an administrator granted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

DEFAULT_ROLES = ("User.Read.All", "Group.Read.All", "GroupMember.Read.All")


@dataclass
class Application:
    """Client id, credentials and application permissions; the service principal is its stand-in in the tenant."""

    client_id: str
    client_secret: str
    service_principal_id: str
    secret_expired: bool = False
    newer_secrets: list[str] = field(default_factory=list)
    roles: tuple[str, ...] = DEFAULT_ROLES
    certificates: list[x509.Certificate] = field(default_factory=list)

    def replace_secret(self, secret: str) -> None:
        """Delete all secrets and make this one."""
        self.client_secret = secret
        self.newer_secrets.clear()

    def register_certificate(self, pem: str) -> None:
        """Accept assertions signed with this certificate's key; ValueError when it is no PEM certificate."""
        self.certificates.append(x509.load_pem_x509_certificate(pem.encode()))

    def delete_certificates(self) -> None:
        self.certificates.clear()

    def certificate_with(self, *, sha1: bytes | None, sha256: bytes | None) -> x509.Certificate | None:
        """Return the registered certificate with that thumbprint, None when there is none."""
        for certificate in self.certificates:
            der = certificate.public_bytes(Encoding.DER)
            # Entra names certificates by SHA-1 thumbprint in the x5t header; this is a lookup, not a protection.
            if sha1 == hashlib.sha1(der, usedforsecurity=False).digest() or sha256 == hashlib.sha256(der).digest():
                return certificate
        return None
