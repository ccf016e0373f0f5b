"""Certificates as customers hand them over: PEM and PFX, in one file or two, encrypted or not; and what is wrong."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import click
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat

from common.graph.credentials import ClientCertificate, from_text, to_text
from console import certificate_file
from tests.support.certificates import SelfSigned, self_signed

PASSWORD = b"pass word of the test"
ONE, OTHER = self_signed(), self_signed()
ROOT_FIRST = OTHER.pem + ONE.pem


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str, bytes], str]:
    def write(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return write


FORMS = {
    "PEM": ONE.pem + ONE.key_pem(),
    "PEM, key first": ONE.key_pem() + ONE.pem,
    "PEM with a byte order mark and words": b"\xef\xbb\xbfBag Attributes\r\n"
    + ONE.key_pem()
    + b"subject=it\n"
    + ONE.pem,
    "PEM with a chain": ROOT_FIRST + ONE.key_pem(),
    "PEM of OpenSSL": ONE.pem + ONE.key_pem(form=PrivateFormat.TraditionalOpenSSL),
    "PEM, encrypted": ONE.pem + ONE.key_pem(PASSWORD),
    "PEM of OpenSSL, encrypted": ONE.pem + ONE.key_pem(PASSWORD, PrivateFormat.TraditionalOpenSSL),
    "PFX": ONE.pfx(),
    "PFX, encrypted": ONE.pfx(PASSWORD),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_certificate_is_read_in_any_usual_form(file: Callable[[str, bytes], str], form: str) -> None:
    password = file("password", PASSWORD + b"\r\n") if "encrypted" in form else None
    found = certificate_file.read(file("certificate", FORMS[form]), None, password)
    assert found == ClientCertificate(ONE.pem.decode(), ONE.key_pem().decode())
    assert found.expires_at == ONE.certificate.not_valid_after_utc


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_the_key_may_be_in_a_file_of_its_own(file: Callable[[str, bytes], str], password: bytes | None) -> None:
    password_file = file("password", password) if password else None
    found = certificate_file.read(file("crt", ONE.pem), file("key", ONE.key_pem(password)), password_file)
    assert found.private_key_pem == ONE.key_pem().decode()


def broken(pem: bytes) -> bytes:
    return pem.replace(b"M", b"N", 3)


def der(one: SelfSigned) -> bytes:
    return one.certificate.public_bytes(Encoding.DER)


EXPIRED = self_signed(valid=(timedelta(days=-30), timedelta(days=-1)))
FUTURE = self_signed(valid=(timedelta(days=1), timedelta(days=30)))
ELLIPTIC = self_signed(elliptic=True)
UNUSABLE = {
    "no private key, PEM": (ONE.pem, "holds no private key"),
    "no private key, DER": (der(ONE), "holds no private key"),
    "a .cer is told from a .pfx": (der(ONE), "A .cer file is what is uploaded to Entra"),
    "no certificate": (ONE.key_pem(), "holds no certificate"),
    "another key": (ONE.pem + OTHER.key_pem(), "the private key does not belong to the certificate"),
    "expired": (EXPIRED.pem + EXPIRED.key_pem(), "expired at 20"),
    "not yet valid": (FUTURE.pem + FUTURE.key_pem(), "is not valid before 20"),
    "elliptic": (ELLIPTIC.pem + ELLIPTIC.key_pem(), "no RSA key, and Entra takes no other"),
    "elliptic PFX": (ELLIPTIC.pfx(), "no RSA key, and Entra takes no other"),
    "damaged certificate": (broken(ONE.pem) + ONE.key_pem(), "the certificate in"),
    "damaged key": (ONE.pem + broken(ONE.key_pem()), "The private key in"),
    "encrypted, and nobody to ask": (ONE.pem + ONE.key_pem(PASSWORD), "is encrypted: name a file with its password"),
    "PFX, and nobody to ask": (ONE.pfx(PASSWORD), "is encrypted: name a file with its password"),
    "text": (b"a-client-secret", "neither a PEM file nor a PFX file"),
    "nothing": (b"", "neither a PEM file nor a PFX file"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_cannot_be_used_is_said(file: Callable[[str, bytes], str], case: str) -> None:
    content, words = UNUSABLE[case]
    with pytest.raises(click.UsageError) as caught:
        certificate_file.read(file("certificate", content), None, None)
    assert words in caught.value.message
    assert "certificate" in caught.value.message


@pytest.mark.parametrize("content", [ONE.pem + ONE.key_pem(PASSWORD), ONE.pfx(PASSWORD)])
def test_a_wrong_password_is_said_and_not_shown(file: Callable[[str, bytes], str], content: bytes) -> None:
    with pytest.raises(click.UsageError) as caught:
        certificate_file.read(file("certificate", content), None, file("password", b"not-it"))
    assert "this is not the password of" in caught.value.message
    assert "not-it" not in caught.value.message


def test_a_file_that_is_not_there_is_named_with_its_option(file: Callable[[str, bytes], str]) -> None:
    here = file("certificate", ONE.pem + ONE.key_pem(PASSWORD))
    for files, option in (
        (("/nowhere", None, None), "--certificate-file"),
        ((here, "/nowhere", None), "--certificate-key-file"),
        ((here, None, "/nowhere"), "--certificate-password-file"),
    ):
        with pytest.raises(click.UsageError, match=rf"{option}: '/nowhere' cannot be read \(No such file"):
            certificate_file.read(*files)


def test_neither_key_nor_secret_shows_in_what_is_printed() -> None:
    found = ClientCertificate(ONE.pem.decode(), ONE.key_pem().decode())
    secret_lines = ONE.key_pem().decode().splitlines()[1:-1]
    shown = f"{found!r} {found} {found.shown}"
    assert not [line for line in secret_lines if line in shown]
    assert found.shown == f"certificate {found.thumbprint}"
    assert len(found.thumbprint) == 40


def test_what_is_stored_is_read_back() -> None:
    found = ClientCertificate(ONE.pem.decode(), ONE.key_pem().decode())
    assert from_text(to_text(found)) == found
