"""`entra-sms groups`: the groups in the address book."""

from __future__ import annotations

import shlex

import click
from rich.text import Text
from sqlalchemy import Connection

from common.db import members
from common.db.tenants import Tenant
from common.db.visible import GROUP, USER
from console import exporting, output
from console.choice import one_tenant, tenant_option
from console.connection import Installation
from console.exporting import Format
from console.group_choice import one_group
from console.listing import limit_option, say_that_there_is_more
from console.person_card import names_of
from console.reads import people, teams
from console.reads.export import ExportedGroup, every_group
from console.reads.group_paths import paths_of
from console.reads.people import Filter
from console.reads.teams import Team

KINDS = {
    "microsoft365": "Microsoft 365",
    "security": "security",
    "mail_security": "mail-enabled security",
    "distribution": "distribution",
}
NAMES_SHOWN = 20


@click.group("groups")
def command() -> None:
    """List, show and export the groups and their members.

    Example: entra-sms groups show "Sales Warsaw"
    """


@command.command("list", short_help="List groups and how many members they have.")
@tenant_option
@click.option("--search", metavar="TEXT", help="Part of the name.")
@limit_option
@click.pass_obj
def list_(installation: Installation, /, *, tenant: str | None, search: str | None, limit: int) -> None:
    """List groups and how many direct members they have, ordered by name.

    Example: entra-sms groups list --search sales
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        shown = teams.page(connection, found.tenant_id, search, limit)
        total = teams.count(connection, found.tenant_id, search) if len(shown) == limit else len(shown)
    if not shown:
        output.note("No group is called like that." if search else "There are no groups in the address book.")
        return
    rows = [
        (
            one.team.display_name,
            kind_word(one.team.kind),
            output.number(one.people),
            output.number(one.groups),
            output.number(one.others),
        )
        for one in shown
    ]
    headings = ("NAME", "KIND", "PEOPLE", "GROUPS", "OTHERS")
    output.table(headings, rows, right=("PEOPLE", "GROUPS", "OTHERS"))
    say_that_there_is_more(len(shown), total, "groups", "entra-sms groups export")


@command.command(short_help="Show one group: its members by type, and whom it reaches.")
@tenant_option
@click.argument("group")
@click.pass_obj
def show(installation: Installation, /, *, tenant: str | None, group: str) -> None:
    """Show one group: its direct members by type, and how many people it reaches with the groups in it.

    GROUP is an object id, a name, a mail address, or a part of the name.

    Example: entra-sms groups show "Sales Warsaw"
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        team = one_group(connection, found, group)
        output.facts(_facts_of(connection, found, team))
    output.note(f"All its people: entra-sms contacts list --group {shlex.quote(team.display_name or team.object_id)}")


@command.command(short_help="Write all groups and their members to stdout, as JSON.")
@tenant_option
@click.option(
    "--format", "form", type=click.Choice([Format.JSON], case_sensitive=False), default=Format.JSON, show_default=True
)
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


def kind_word(kind: str | None) -> str:
    return KINDS.get(kind or "", output.shown(kind))


def _facts_of(connection: Connection, tenant: Tenant, team: Team) -> list[tuple[str, str | Text]]:
    of_type = teams.kinds_of_members(connection, tenant.tenant_id, team.object_id)
    reach = teams.reach(connection, tenant.tenant_id, team.object_id)
    reached = output.plural(reach.people, "person", "people")
    inside = teams.directly_in(connection, tenant.tenant_id, team.object_id)
    around = [path.team for path in paths_of(connection, tenant.tenant_id, team.object_id)]
    others = [
        f"{output.number(count)} of type {output.shown(kind)}"
        for kind, count in of_type.items()
        if kind not in (USER, GROUP)
    ]
    return [
        ("Name", output.shown(team.display_name)),
        ("Kind", kind_word(team.kind)),
        ("Mail", output.shown(team.mail)),
        ("Object id", team.object_id),
        (
            "Reaches",
            f"{reached}, {output.number(reach.with_number)} with a number",
        ),
        ("People in it", _people_in(connection, tenant, team, of_type.get(USER, 0))),
        ("Groups in it", _names(inside)),
        ("Others in it", ", ".join(others) or "-"),
        ("Is in groups", _names([one for one in around if one != team])),
    ]


def _people_in(connection: Connection, tenant: Tenant, team: Team, total: int) -> str:
    wanted = Filter(tenant.tenant_id, None, within=members.people_directly_in(tenant.tenant_id, team.object_id))
    shown = people.page(connection, wanted, NAMES_SHOWN)
    names = [output.shown(person.display_name or person.user_principal_name) for person in shown]
    return "\n".join([*names, *_rest(len(shown), total)]) or "-"


def _names(found: list[Team]) -> str:
    return "\n".join([names_of(found[:NAMES_SHOWN]), *_rest(NAMES_SHOWN, len(found))])


def _rest(shown: int, total: int) -> list[str]:
    return [f"and {output.number(total - shown)} more"] if total > shown else []
