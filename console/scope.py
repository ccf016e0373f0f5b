"""`entra-sms tenants scope`: who of a directory belongs in the address book."""

from __future__ import annotations

import click

from common.scope import EVERYBODY
from console import output, scoping
from console.choice import one_tenant, typed
from console.connection import Installation
from console.group_choice import one_group
from console.scope_options import read_scope, where_option
from console.scope_words import facts_of, names_of_groups


@click.command("scope", short_help="Show or change who of a directory belongs in the address book.")
@click.argument("tenant", required=False)
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="GROUP",
    help="Only people in this group, or in a group in it; its name or object id. Several times: in any of them.",
)
@where_option("--where")
@click.option("--everybody", is_flag=True, help="No limit any more.")
@click.option("--yes", is_flag=True, help="Do not ask; what changes is shown all the same.")
@click.pass_obj
def command(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    groups: tuple[str, ...],
    where: str | None,
    everybody: bool,
    yes: bool,
) -> None:
    """Show or change who of a directory belongs in the address book.

    Unless told otherwise that is everybody. Of who is outside nothing is stored but the object id. What is given takes
    the place of the former scope; of --group and --where together both have to hold. How many people come in and how
    many leave is shown first. Afterwards everybody is read once more, while changes go on being applied.

    CONDITION compares department, country, companyName and userType with a text, and accountEnabled with true or
    false: by = and !=, "in (...)", "is empty", joined by "and", "or", "not" and brackets.

    \b
    Examples:
      entra-sms tenants scope Contoso
      entra-sms tenants scope Contoso --group "All staff" --group Contractors
      entra-sms tenants scope Contoso \\
          --where 'department = "Sales" and country in ("PL", "DE")'
      entra-sms tenants scope Contoso --everybody
    """  # noqa: D301 - the backspace tells click to keep the lines as they are
    if everybody and (groups or where is not None):
        raise click.UsageError("--everybody is no limit at all; leave it out, or the others.")
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        group_ids = [one_group(connection, found, group).object_id for group in groups]
        wanted = EVERYBODY if everybody else read_scope(group_ids, where)
        names = names_of_groups(connection, found.tenant_id, found.scope, wanted or EVERYBODY)
    if wanted is None:
        output.facts(facts_of(found.scope, names))
        output.note(f"To change it: entra-sms tenants scope {typed(found)} --group GROUP, --where CONDITION, or both")
        return
    scoping.change(installation, found, wanted, names, may_ask=not yes)
