"""The simulator's own certificate authority, and the server certificates it issues.

The authority lives in the state directory (`ca.pem`, `ca.key`) and is kept until it expires, so that programs which
trust it go on trusting it over restarts. Processes that start at the same time agree on one authority.
"""

from __future__ import annotations

import fcntl
import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3_650
SERVER_DAYS = 397
ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")
_LEEWAY = timedelta(hours=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its certificate, its key, and the file that others trust."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    certificate_file: Path

    def issue(self, directory: Path, name: str, hosts: Sequence[str]) -> tuple[Path, Path]:
        """Write `NAME.pem` and `NAME.key`, valid for the hosts and for loopback, and return both paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [_general_name(host) for host in dict.fromkeys((*hosts, *ALWAYS_NAMED))]
        certificate = (
            _builder(_subject(name), self.certificate.subject, key.public_key(), SERVER_DAYS)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        certificate_file, key_file = directory / f"{name}.pem", directory / f"{name}.key"
        _write_private(key_file, _pem_of_key(key))
        certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return certificate_file, key_file


def ensure_authority(directory: Path) -> Authority:
    """Return the authority of a state directory, creating or renewing it when missing, unreadable or expired."""
    directory.mkdir(parents=True, exist_ok=True)
    certificate_file, key_file = directory / "ca.pem", directory / "ca.key"
    with _locked(directory / "ca.lock"):
        found = _load(certificate_file, key_file)
        if found is not None:
            return found
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject("Simulated Entra authority")
        certificate = (
            _builder(subject, subject, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_private(key_file, _pem_of_key(key))
        certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return Authority(certificate, key, certificate_file)


def _load(certificate_file: Path, key_file: Path) -> Authority | None:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.not_valid_after_utc <= datetime.now(UTC):
        return None
    return Authority(certificate, key, certificate_file)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LEEWAY)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
