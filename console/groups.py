"""`entra-sms groups`: the groups in the address book."""

from __future__ import annotations

import click

from console import exporting
from console.choice import one_tenant, tenant_option
from console.connection import Installation
from console.exporting import Format
from console.reads.export import ExportedGroup, every_group


@click.group("groups")
def command() -> None:
    """List, show and export the groups and their members.

    Example: entra-sms groups show "Sales Warsaw"
    """


@command.command(short_help="Write all groups and their members to stdout, as JSON.")
@tenant_option
@click.option("--format", "form", type=click.Choice([Format.JSON]), default=Format.JSON, show_default=True)
@click.pass_obj
def export(installation: Installation, /, *, tenant: str | None, form: Format) -> None:
    """Write all groups to standard output, ordered by object id.

    Of each: object_id, display_name, and members: the object ids of its direct members, which may be people, groups,
    devices and others. People who are not in the address book are left out.

    Example: entra-sms groups export --tenant Contoso > groups.json
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        exporting.write(every_group(connection, found.tenant_id), ExportedGroup, form)
