"""`entra-sms tenants credential`: a new client secret or certificate in place of the old one."""

from __future__ import annotations

import click

from common.graph.credentials import ClientSecret
from console import rotation, tenant_form
from console.choice import one_tenant
from console.connection import Installation
from console.credential_options import CredentialFiles, credential_options

PATIENCE_SECONDS = 120


@click.command("credential", short_help="Change the client secret or certificate of a tenant.")
@click.argument("tenant", required=False)
@credential_options
@click.option(
    "--patience",
    type=click.IntRange(0, 3_600),
    default=PATIENCE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long to try again while Entra does not know the new one yet.",
)
@click.pass_obj
def command(
    installation: Installation, /, tenant: str | None, files: CredentialFiles, expires: str | None, patience: int
) -> None:
    """Change the client secret or certificate by which a tenant signs in.

    Make the new one in Entra beside the old one, then give it here. It is proven with real sign-ins and with each
    permission, and only then used in place of the old one; until then, and if it does not work, the old one stays in
    use. Afterwards the old one can be deleted in Entra.

    \b
    Examples:
      entra-sms tenants credential Contoso --client-secret-file new.txt \\
          --expires 2028-11-23
      entra-sms tenants credential Contoso --certificate-file new.pfx
      entra-sms tenants credential Contoso --expires 2028-11-23
    """  # noqa: D301 - the backspace tells click to keep the lines as they are
    values = tenant_form.checked({"client_secret": files.secret_text(), "expires": expires})
    new = ClientSecret(values["client_secret"]) if "client_secret" in values else files.certificate()
    expires_at = tenant_form.moment_of(values.get("expires"))
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
    if new is not None:
        rotation.replace(installation, found, new, expires_at, patience_seconds=patience)
    elif expires_at is not None:
        rotation.note_expiry(installation, found, expires_at)
    else:
        raise click.UsageError("Give the new one: --client-secret-file PATH or --certificate-file PATH.")
