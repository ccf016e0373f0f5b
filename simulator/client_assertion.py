"""Certificate credentials: checking the signed assertion that a client sends instead of a secret.

Source: "Microsoft identity platform application authentication certificate credentials".
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import jwt
from cryptography import x509

from simulator.application import Application

CLOCK_SKEW_SECONDS = 300
NOT_REGISTERED = "The certificate with identifier used to sign the client assertion is not registered on application."


class BadAssertionError(Exception):
    """The assertion proves nothing; the message says why, and `number` is that of the AADSTS code."""

    def __init__(self, message: str, number: int = 700027) -> None:
        super().__init__(message)
        self.number = number


def check(assertion: str, application: Application, audiences: list[str], wall_now: float) -> None:
    """Accept an RS256 or PS256 assertion of a registered certificate, or raise BadAssertionError.

    The times in an assertion are compared with the wall clock, because that is where clients live.
    """
    certificate = _certificate(assertion, application)
    if not certificate.not_valid_before_utc.timestamp() <= wall_now < certificate.not_valid_after_utc.timestamp():
        raise BadAssertionError("The provided certificate is not within its specified validity window.", 1000502)
    try:
        claims: dict[str, Any] = jwt.decode(
            assertion,
            certificate.public_key(),  # type: ignore[arg-type] # any key type is checked against the algorithm
            algorithms=["RS256", "PS256"],
            audience=audiences,
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "require": ["exp", "aud", "iss", "sub"],
            },
        )
    except jwt.InvalidTokenError as problem:
        raise BadAssertionError(f"The assertion is not acceptable: {problem}") from problem
    if claims["iss"] != application.client_id or claims["sub"] != application.client_id:
        raise BadAssertionError("The assertion must be issued by and about the application itself.")
    if not float(claims["exp"]) > wall_now - CLOCK_SKEW_SECONDS:
        raise BadAssertionError("Client assertion is not within its valid time range.", 700024)


def _certificate(assertion: str, application: Application) -> x509.Certificate:
    try:
        header = jwt.get_unverified_header(assertion)
        sha1, sha256 = _thumbprint(header.get("x5t")), _thumbprint(header.get("x5t#S256"))
    except (jwt.InvalidTokenError, binascii.Error) as problem:
        raise BadAssertionError("The assertion is no signed token.") from problem
    certificate = application.certificate_with(sha1=sha1, sha256=sha256)
    if certificate is None:
        raise BadAssertionError(NOT_REGISTERED)
    return certificate


def _thumbprint(text: str | None) -> bytes | None:
    return None if text is None else base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
