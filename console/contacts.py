"""`entra-sms contacts`: the people in the address book."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from sqlalchemy import Connection, Select

from common.db import members
from common.db.tenants import Tenant
from common.phones import PhoneState
from console import output
from console.choice import one_tenant, tenant_option
from console.connection import Installation
from console.exits import ConsoleError
from console.export_options import Export, export_options
from console.group_choice import one_group
from console.listing import limit_option, say_that_there_is_more
from console.person_card import facts_of, show_list
from console.person_choice import one_person
from console.reads import people
from console.reads.export import ExportedContact, every_contact
from console.reads.people import Filter

Command = TypeVar("Command", bound=Callable[..., Any])


def group_options(command: Command) -> Command:
    """Add ``--group`` and ``--direct`` to a command."""
    direct = click.option("--direct", is_flag=True, help="With --group: without the groups in it.")
    return click.option(
        "--group", metavar="GROUP", help="Only the people of this group and of the groups in it; a name or an id."
    )(direct(command))


def state_option(command: Command) -> Command:
    """Add ``--state`` to a command."""
    return click.option(
        "--state",
        type=click.Choice(PhoneState, case_sensitive=False),
        help="Only people whose number is fine, missing or invalid.",
    )(command)


@click.group("contacts")
def command() -> None:
    """List, show and export the people in the address book.

    Example: entra-sms contacts list --search anna
    """


@command.command("list", short_help="List people and their numbers.")
@tenant_option
@group_options
@click.option("--search", metavar="TEXT", help="Part of a name or an address, or a number in any format.")
@state_option
@limit_option
@click.pass_obj
def list_(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    group: str | None,
    direct: bool,
    search: str | None,
    state: PhoneState | None,
    limit: int,
) -> None:
    """List people and their numbers, ordered by name.

    Example: entra-sms contacts list --group Sales --state missing
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        within = _within(connection, found, group, direct=direct)
        wanted = Filter(found.tenant_id, found.default_region, search, state, within)
        shown = people.page(connection, wanted, limit)
        total = people.count(connection, wanted) if len(shown) == limit else len(shown)
    if not shown:
        is_filtered = search or state or group
        output.note("Nobody in the address book is like that." if is_filtered else "The address book is empty.")
        return
    show_list(shown)
    say_that_there_is_more(len(shown), total, "people", "entra-sms contacts export")


@command.command(short_help="Show one person: the number, where it is from, and the groups.")
@tenant_option
@click.argument("person")
@click.pass_obj
def show(installation: Installation, /, *, tenant: str | None, person: str) -> None:
    """Show one person: the number, where it is from, what the directory holds, and the groups.

    PERSON is an object id, a mail address, a user principal name, a number in any format, a name, or a part of these.

    Example: entra-sms contacts show "+48 601 234 567"
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        somebody = one_person(connection, found, person)
        output.facts(facts_of(connection, found, somebody))


@command.command(short_help="Write all people as CSV, JSON, JSON Lines or vCards.")
@tenant_option
@group_options
@state_option
@export_options
@click.pass_obj
def export(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    group: str | None,
    direct: bool,
    state: PhoneState | None,
    export: Export,
) -> None:
    """Write all people, or those that are asked for, ordered by object id.

    Columns: object_id, display_name, phone (E.164), phone_source (mobile or business), phone_state (ok, missing or
    invalid), mail, enabled, guest, given_name, surname. What the directory does not say is empty in CSV and null in
    JSON.

    Example: entra-sms contacts export --tenant Contoso --group Sales --state ok --format vcard --output sales.vcf
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        within = _within(connection, found, group, direct=direct)
        export.write(every_contact(connection, found.tenant_id, state=state, within=within), ExportedContact)


@command.command(short_help="Say why nobody can be erased here, and what to do instead.")
@tenant_option
@click.argument("person")
@click.pass_obj
def forget(installation: Installation, /, *, tenant: str | None, person: str) -> None:
    """Say why nobody can be erased here, and what to do instead. Nothing is changed, and the exit code is 1.

    Example: entra-sms contacts forget anna@contoso.com
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        object_id = one_person(connection, found, person).object_id
    raise ConsoleError(
        "Nobody can be erased here: the directory is the truth, and the person would be back after the next full sync. "
        f"In Microsoft Entra, delete the user {object_id}, or clear the mobile phone and the business phones: the "
        "address book follows within seconds. To read nothing more of the directory: entra-sms tenants pause. To erase "
        "all that is stored of it: entra-sms tenants remove --erase"
    )


def _within(connection: Connection, tenant: Tenant, group: str | None, *, direct: bool) -> Select[str] | None:
    """Return the ids of the people of a group; None: of everybody."""
    if group is None:
        if direct:
            raise click.UsageError("--direct belongs to --group.")
        return None
    choose = members.people_directly_in if direct else members.people_within
    return choose(tenant.tenant_id, one_group(connection, tenant, group).object_id)
