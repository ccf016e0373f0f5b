"""What a tenant's administrator gives to sign in with: the ids, and a client secret or a certificate.

Nothing here prints a secret or a private key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1


@dataclass(frozen=True)
class ClientSecret:
    """A secret's Value; when it expires is told by nobody but the administrator."""

    value: str = field(repr=False)
    kind = "client secret"

    @property
    def shown(self) -> str:
        """What it is, and nothing that it must not tell."""
        return self.kind

    @property
    def expires_at(self) -> datetime | None:
        return None

    def for_msal(self) -> str:
        return self.value

    def as_fields(self) -> dict[str, str]:
        return {"client_secret": self.value}


@dataclass(frozen=True)
class ClientCertificate:
    """A certificate that is registered with the application, and its RSA key (PKCS#8, not encrypted), both as PEM."""

    certificate_pem: str
    private_key_pem: str = field(repr=False)
    kind = "certificate"

    @property
    def shown(self) -> str:
        """What it is, and its thumbprint as the Entra admin center shows it."""
        return f"{self.kind} {self.thumbprint}"

    @property
    def expires_at(self) -> datetime | None:
        return self._certificate.not_valid_after_utc

    @property
    def thumbprint(self) -> str:
        """The SHA-1 digest by which Entra names the certificate; it proves nothing."""
        return self._certificate.fingerprint(SHA1()).hex().upper()  # noqa: S303 - a name, not a protection

    def for_msal(self) -> dict[str, str]:
        """Return what has MSAL sign with PS256 and name the certificate by its SHA-256 digest."""
        return {"private_key": self.private_key_pem, "public_certificate": self.certificate_pem}

    def as_fields(self) -> dict[str, str]:
        return {"certificate": self.certificate_pem, "private_key": self.private_key_pem}

    @cached_property
    def _certificate(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate_pem.encode())


Credential = ClientSecret | ClientCertificate


@dataclass(frozen=True)
class Credentials:
    """Everything that a sign-in takes."""

    tenant_id: str
    client_id: str
    credential: Credential


def to_text(credential: Credential) -> str:
    """Return the text that is sealed and stored."""
    return json.dumps(credential.as_fields())


def from_text(text: str) -> Credential:
    fields: dict[str, Any] = json.loads(text)
    if "client_secret" in fields:
        return ClientSecret(fields["client_secret"])
    return ClientCertificate(fields["certificate"], fields["private_key"])
