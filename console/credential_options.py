"""The options by which a command takes a new credential: a client secret or a certificate, never as an argument."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from common.graph.credentials import ClientCertificate
from console import certificate_file, tenant_form


@dataclass(frozen=True)
class CredentialFiles:
    """The names of the files that were given."""

    client_secret_file: str | None
    certificate_file: str | None
    certificate_key_file: str | None
    certificate_password_file: str | None

    def __bool__(self) -> bool:
        return self.client_secret_file is not None or self.certificate_file is not None

    def secret_text(self) -> str | None:
        """Return what the file of the client secret holds.

        Raises:
            click.UsageError: it cannot be read.
        """
        return tenant_form.read_secret(self.client_secret_file)

    def certificate(self) -> ClientCertificate | None:
        """Return the certificate with its key.

        Raises:
            click.UsageError: it cannot be used.
        """
        if self.certificate_file is None:
            return None
        return certificate_file.read(self.certificate_file, self.certificate_key_file, self.certificate_password_file)


def credential_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as `files`."""

    @functools.wraps(command)
    def with_files(*arguments: Any, **given: Any) -> Any:
        files = CredentialFiles(**{name: given.pop(name) for name in CredentialFiles.__dataclass_fields__})
        _refuse_contradictions(files, given["expires"])
        return command(*arguments, files=files, **given)

    for option in reversed(_OPTIONS):
        with_files = option(with_files)
    return with_files


def _refuse_argument(_ctx: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise click.UsageError(
            "A secret is never an argument: everybody on this machine can see it in the list of processes, and it "
            f"stays in the history of your shell. Use {option.opts[0]}-file PATH, or - for standard input. "
            "The one you just typed should be replaced by a new one."
        )


def _refuse_contradictions(files: CredentialFiles, expires: str | None) -> None:
    if files.client_secret_file is not None and files.certificate_file is not None:
        raise click.UsageError("Give a client secret or a certificate, not both: one of them is used.")
    if files.certificate_file is None and (files.certificate_key_file or files.certificate_password_file):
        raise click.UsageError("A key and a password go with a certificate: --certificate-file PATH.")
    if files.certificate_file is not None and expires is not None:
        raise click.UsageError("A certificate tells by itself when it expires; --expires is for a client secret.")


def _never_an_argument(name: str) -> Callable[..., Any]:
    return click.option(name, hidden=True, is_flag=False, flag_value="", callback=_refuse_argument, expose_value=False)


_OPTIONS = (
    click.option(
        "--client-secret-file",
        metavar="PATH",
        help="File with the client secret's Value; - reads it from standard input.",
    ),
    _never_an_argument("--client-secret"),
    click.option(
        "--expires",
        metavar="YYYY-MM-DD",
        help="When the client secret expires, as Entra shows beside it; you are warned before. Optional.",
    ),
    click.option(
        "--certificate-file",
        metavar="PATH",
        help="Instead of a secret: certificate with private key, PEM or PFX (PKCS#12).",
    ),
    click.option("--certificate-key-file", metavar="PATH", help="Its private key (PEM), if that is in its own file."),
    click.option(
        "--certificate-password-file",
        metavar="PATH",
        help="File with the password of an encrypted key or PFX; it is asked for on a terminal.",
    ),
    _never_an_argument("--certificate-password"),
)
