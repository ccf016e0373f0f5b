"""`entra-sms contacts`: the people in the address book."""

from __future__ import annotations

import click

from console import exporting
from console.choice import one_tenant, tenant_option
from console.connection import Installation
from console.exporting import Format
from console.reads.export import ExportedContact, every_contact


@click.group("contacts")
def command() -> None:
    """List, show and export the people in the address book.

    Example: entra-sms contacts list --search anna
    """


@command.command(short_help="Write all people to stdout, as CSV or JSON.")
@tenant_option
@click.option("--format", "form", type=click.Choice(Format), default=Format.CSV, show_default=True)
@click.pass_obj
def export(installation: Installation, /, *, tenant: str | None, form: Format) -> None:
    """Write all people to standard output, ordered by object id.

    Columns: object_id, display_name, phone (E.164), phone_source (mobile or business), phone_state (ok, missing or
    invalid), mail, enabled, guest. What the directory does not say is empty in CSV and null in JSON.

    Example: entra-sms contacts export --tenant Contoso --format csv > people.csv
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        exporting.write(every_contact(connection, found.tenant_id), ExportedContact, form)
