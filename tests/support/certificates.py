"""Certificates as customers make them, with their keys, in every form in which they come."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class SelfSigned:
    """A certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        """The certificate alone, as it is uploaded to Entra."""
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: bytes | None = None, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
        return self.key.private_bytes(Encoding.PEM, form, _encryption(password))

    def pfx(self, password: bytes | None = None) -> bytes:
        return pkcs12.serialize_key_and_certificates(b"it", self.key, self.certificate, None, _encryption(password))

    def written(self, path: Path) -> Path:
        """Write certificate and key into one PEM file."""
        path.write_bytes(self.pem + self.key_pem())
        return path


def self_signed(
    *,
    valid: tuple[timedelta, timedelta] = (timedelta(hours=-1), timedelta(days=60)),
    elliptic: bool = False,
) -> SelfSigned:
    """Make a certificate that is valid between two moments, counted from now."""
    key: Key = (
        ec.generate_private_key(ec.SECP256R1())
        if elliptic
        else rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "entra-sms-sync of a test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now + valid[0]).not_valid_after(now + valid[1])
    return SelfSigned(builder.sign(key, hashes.SHA256()), key)


def _encryption(password: bytes | None) -> KeySerializationEncryption:
    return NoEncryption() if password is None else BestAvailableEncryption(password)
