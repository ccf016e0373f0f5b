"""A certificate with its private key, read from files: PEM or PFX (PKCS#12), the key encrypted or not.

What cannot work is said here, before Entra is asked: Entra would say no more than that it does not accept it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from common.graph.credentials import ClientCertificate
from console import output, times

FILE, KEY_FILE, PASSWORD_FILE = "--certificate-file", "--certificate-key-file", "--certificate-password-file"
Opened = TypeVar("Opened")
_KEY = re.compile(rb"-----BEGIN ((?:[A-Z]+ )?)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)
_DER_SEQUENCE = b"\x30"


class _WrongPasswordError(Exception):
    """It is encrypted, and this is not its password."""


def read(path: str, key_path: str | None, password_path: str | None) -> ClientCertificate:
    """Return the certificate in the file `path` with its key, which may be in a file of its own.

    The password of what is encrypted comes from the first line of the file `password_path`, or is asked for.

    Raises:
        click.UsageError: it cannot be used; the text says why.
    """
    content = _content(path, FILE)
    if b"-----BEGIN " in content:
        certificates = _pem_certificates(content, path)
        key_content, key_place = (content, path) if key_path is None else (_content(key_path, KEY_FILE), key_path)
        key = _pem_key(key_content, key_place, password_path)
    else:
        if key_path is not None:
            raise click.UsageError(f"{KEY_FILE} goes with a PEM file; {path!r} is none.")
        certificates, key = _pfx(content, path, password_path)
    return _made_of(certificates, key, path)


def _made_of(certificates: list[x509.Certificate], key: object, path: str) -> ClientCertificate:
    if key is None:
        raise click.UsageError(
            f"{FILE}: {path!r} holds no private key. It takes both: a PEM file with certificate and key, the key in a "
            f"file of its own ({KEY_FILE}), or a PFX file. A .cer file is what is uploaded to Entra, and is not enough."
        )
    if not isinstance(key, RSAPrivateKey):
        raise click.UsageError(f"{FILE}: the key in {path!r} is no RSA key, and Entra takes no other.")
    certificate = next((one for one in certificates if one.public_key() == key.public_key()), None)
    if certificate is None:
        raise click.UsageError(f"{FILE}: the private key does not belong to the certificate in {path!r}.")
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc <= now:
        raise click.UsageError(
            f"{FILE}: the certificate in {path!r} expired at {times.moment(certificate.not_valid_after_utc)}."
        )
    if certificate.not_valid_before_utc > now:
        raise click.UsageError(
            f"{FILE}: the certificate in {path!r} is not valid before {times.moment(certificate.not_valid_before_utc)}."
        )
    return ClientCertificate(
        certificate.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


def _content(path: str, option: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no name of a file"
        raise click.UsageError(f"{option}: {path!r} cannot be read ({reason}).") from None


def _pem_certificates(content: bytes, path: str) -> list[x509.Certificate]:
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise click.UsageError(f"{FILE}: {path!r} holds no certificate.")
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise click.UsageError(f"{FILE}: the certificate in {path!r} is damaged.") from None


def _pem_key(content: bytes, path: str, password_path: str | None) -> object:
    found = _KEY.search(content)
    if found is None:
        return None

    def load(password: bytes | None) -> object:
        try:
            return load_pem_private_key(found[0], password)
        except TypeError:
            raise _WrongPasswordError from None  # it is encrypted
        except ValueError:
            if password is None:
                raise click.UsageError(f"The private key in {path!r} is damaged.") from None
            raise _WrongPasswordError from None

    return _opened(load, path, password_path)


def _pfx(content: bytes, path: str, password_path: str | None) -> tuple[list[x509.Certificate], object]:
    if not content.startswith(_DER_SEQUENCE):
        raise click.UsageError(f"{FILE}: {path!r} is neither a PEM file nor a PFX file.")
    if _is_certificate_alone(content):
        return [], None

    def load(password: bytes | None) -> tuple[list[x509.Certificate], object]:
        try:
            key, certificate, others = pkcs12.load_key_and_certificates(content, password)
        except ValueError:
            raise _WrongPasswordError from None
        return [one for one in (certificate, *others) if one is not None], key

    return _opened(load, path, password_path)


def _is_certificate_alone(content: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(content)
    except ValueError:
        return False
    return True


def _opened(load: Callable[[bytes | None], Opened], path: str, password_path: str | None) -> Opened:
    """Return what `load` makes with no password, an empty one, that of a file, or one that is typed."""
    try:
        for nothing in (None, b""):
            try:
                return load(nothing)
            except _WrongPasswordError:
                continue
        if password_path is not None:
            return load(_first_line(_content(password_path, PASSWORD_FILE)))
        if not sys.stdin.isatty():
            raise click.UsageError(f"{path!r} is encrypted: name a file with its password, {PASSWORD_FILE} PATH.")
        return _asked(load, path)
    except _WrongPasswordError:
        raise click.UsageError(f"{PASSWORD_FILE}: this is not the password of {path!r}, or that is damaged.") from None
    except UnsupportedAlgorithm:
        raise click.UsageError(
            f"{path!r} is encrypted in a way that is out of use; export it anew, with AES."
        ) from None


def _asked(load: Callable[[bytes | None], Opened], path: str) -> Opened:
    while True:
        typed: str = click.prompt(f"Password of {path}", hide_input=True, default="", show_default=False, err=True)
        try:
            return load(typed.encode())
        except _WrongPasswordError:
            output.note("  That is not its password.")


def _first_line(content: bytes) -> bytes:
    return content.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].rstrip(b"\r")
