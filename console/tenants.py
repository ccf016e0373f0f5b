"""`entra-sms tenants`: the directories that are synced."""

from __future__ import annotations

import sys

import click
from rich.text import Text

from common.cloud import DEFAULT
from common.db import tenants
from common.db.tenants import RecipientRule, RemovalLimit, Tenant, TenantState
from common.errors import SettingsError
from console import (
    credential,
    enrolment,
    expiry,
    output,
    pausing,
    removal,
    scope,
    scope_words,
    state_word,
    tenant_form,
    times,
)
from console.choice import NO_TENANT_YET, one_tenant
from console.connection import Installation
from console.credential_options import CredentialFiles, credential_options
from console.scope_options import read_scope, where_option
from console.scope_words import names_of_groups


@click.group("tenants")
def command() -> None:
    """Add, check, list, show, pause and remove the directories to be synced, and change their credentials.

    A tenant is one customer's Microsoft Entra directory. TENANT is its name, its domain or its id.

    Example: entra-sms tenants check contoso.com
    """


@command.command(short_help="Connect a directory, or change its settings.")
@click.option("--tenant-id", metavar="GUID", help="Directory (tenant) ID.")
@click.option("--client-id", metavar="GUID", help="Application (client) ID.")
@credential_options
@click.option("--name", metavar="NAME", help="What you will call it.")
@click.option("--domain", metavar="DOMAIN", help="Its domain; another way to name it. Optional.")
@click.option(
    "--default-region",
    metavar="CC",
    help="Country of numbers written without a prefix, e.g. PL, for people of whom the directory knows none. Optional.",
)
@click.option("--agreement-reference", metavar="TEXT", help="Data processing agreement: under which it is filed.")
@click.option("--agreement-date", metavar="YYYY-MM-DD", help="Data processing agreement: when it was signed.")
@click.option(
    "--removal-limit",
    metavar="COUNT",
    help="So many people (or groups) may leave the address book within a day unasked; beyond that, and beyond the "
    "percentage, nobody is removed until you decide (entra-sms holds). 20 unless given.",
)
@click.option(
    "--removal-limit-percent",
    metavar="PERCENT",
    help="Or so much of the address book, whichever is more. 10 unless given; 100 switches the limit off.",
)
@click.option(
    "--disabled-recipients", metavar="yes|no", help="Are people whose account is disabled recipients? no unless given."
)
@click.option("--guest-recipients", metavar="yes|no", help="Are guests recipients? yes unless given.")
@click.option(
    "--scope-group",
    "scope_groups",
    multiple=True,
    metavar="GUID",
    help="Only people in this group, or in a group in it, belong in the address book. Several times: in any of them.",
)
@where_option("--scope-where")
@click.option(
    "--cloud",
    metavar="NAME",
    help="Its cloud: global, usgov, usgov-dod, china or one of ENTRA_SMS_CLOUDS; default is that of the settings.",
)
@click.pass_obj
def add(
    installation: Installation,
    /,
    files: CredentialFiles,
    scope_groups: tuple[str, ...],
    scope_where: str | None,
    **given: str | None,
) -> None:
    """Connect a directory, or change the settings of one that is connected.

    What is not given is asked for on a terminal. The access is checked before anything is saved, and the first sync
    begins by itself afterwards. For a tenant that is known already, what is not given stays as it is.

    \b
    Examples:
      entra-sms tenants add
      entra-sms tenants add --name Contoso --tenant-id 1b2c3d4e-... \\
          --client-id 9f8e7d6c-... --client-secret-file secret.txt \\
          --default-region PL \\
          --agreement-reference DPA-17 --agreement-date 2026-03-02

    For a new secret or certificate of a tenant that is known: entra-sms tenants credential; for another scope:
    entra-sms tenants scope, which shows first what it changes.
    """  # noqa: D301 - the backspace tells click to keep the lines as they are
    asked_for_everything = not any(value for name, value in given.items() if name != "tenant_id") and not files
    values = tenant_form.checked({**given, "client_secret": files.secret_text()})
    certificate = files.certificate()
    wanted_scope = read_scope([tenant_form.group_id(group) for group in scope_groups], scope_where)
    interactive = sys.stdin.isatty()
    if interactive and "tenant_id" not in values:
        values["tenant_id"] = tenant_form.ask_for("tenant_id")
    stored = _stored(installation, values.get("tenant_id"))
    if stored is not None and wanted_scope is not None:
        raise click.UsageError(f"{stored.name} is connected already. Change its scope with: entra-sms tenants scope")
    missing = tenant_form.missing(values, stored, certificate)
    if interactive and (missing or asked_for_everything):
        if stored is not None:
            output.note(f"{stored.name} is connected already; Enter keeps what is in brackets.")
        values = tenant_form.ask(values, stored, certificate)
    else:
        tenant_form.refuse_missing(missing)
    enrolment.enrol(installation, values, certificate, stored, wanted_scope)


def _stored(installation: Installation, tenant_id: str | None) -> Tenant | None:
    if tenant_id is None:
        return None
    with installation.database.read() as connection:
        return tenants.get(connection, tenant_id)


@command.command(short_help="Check that the access of a tenant works.")
@click.argument("tenant", required=False)
@click.pass_obj
def check(installation: Installation, tenant: str | None) -> None:
    """Check that the access of a tenant works: the sign-in and each permission.

    Example: entra-sms tenants check Contoso
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
    cloud = installation.settings.cloud(found.cloud)
    enrolment.check(installation, found.credentials(installation.vault), cloud, found.name)
    output.say(f"The access of {output.shown(found.name)} works.")
    if found.state is TenantState.ACCESS_FAILED and enrolment.nudge(installation, found.tenant_id):
        output.say("It did not work before; the worker was told to try again now.")


@command.command("list")
@click.pass_obj
def list_(installation: Installation) -> None:
    """List all tenants.

    Example: entra-sms tenants list
    """
    with installation.database.read() as connection:
        found = tenants.find(connection, "*")
    if not found:
        output.note(NO_TENANT_YET)
        return
    rows = [
        (
            tenant.name,
            tenant.domain,
            tenant.tenant_id,
            tenant.cloud or DEFAULT,
            stored.kind if (stored := expiry.credential_of(installation, tenant)) else "unreadable",
            expiry.day(tenant),
            state_word.of_tenant(tenant),
        )
        for tenant in found
    ]
    output.table(("NAME", "DOMAIN", "TENANT ID", "CLOUD", "CREDENTIAL", "EXPIRES", "STATE"), rows)


@command.command()
@click.argument("tenant", required=False)
@click.pass_obj
def show(installation: Installation, tenant: str | None) -> None:
    """Show the settings of a tenant; never its secret.

    Example: entra-sms tenants show Contoso
    """
    with installation.database.read() as connection:
        found, now = one_tenant(connection, tenant), installation.database.now(connection)
        names = names_of_groups(connection, found.tenant_id, found.scope)
    known = expiry.credential_of(installation, found)
    pairs: list[tuple[str, str | Text]] = [
        ("Name", found.name),
        ("Domain", found.domain or ""),
        ("Tenant id", found.tenant_id),
        ("Client id", found.client_id),
        ("Cloud", _cloud_in_words(installation, found)),
        ("Credential", f"{known.shown}, stored encrypted; it is never shown" if known else expiry.UNREADABLE),
        ("Expires", expiry.in_words(found, now)),
        ("Default region", found.default_region or "none: a number without a prefix needs the person's usage location"),
        ("Agreement", f"{found.agreement.reference}, signed on {found.agreement.signed_on.isoformat()}"),
        ("Removal limit", removal_limit_in_words(found.removal_limit)),
        ("Scope", scope_words.in_words(found.scope, names)),
        ("Recipients", recipients_in_words(found.recipient_rule)),
        ("State", state_word.of_tenant(found)),
        ("Since", times.moment(found.state_since)),
    ]
    if found.state_reason:
        pairs.append(("Reason", found.state_reason))
    output.facts(pairs)


@command.command(short_help="Stop reading a directory; the address book stays as it is.")
@click.argument("tenant")
@click.option("--reason", metavar="TEXT", default=tenants.BY_AN_OPERATOR, help="Why, for whoever looks at it later.")
@click.pass_obj
def pause(installation: Installation, tenant: str, reason: str) -> None:
    """Stop reading a directory until it is resumed.

    Nothing is read from it, and its subscriptions at Graph are deleted. The address book stays as it is. This takes
    effect at once, also while RabbitMQ is away.

    Example: entra-sms tenants pause Contoso --reason "moves to another directory"
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
    pausing.pause(installation, found, reason.strip() or tenants.BY_AN_OPERATOR)


@command.command(short_help="Read a paused directory again.")
@click.argument("tenant")
@click.pass_obj
def resume(installation: Installation, tenant: str) -> None:
    """Read a directory again that was paused.

    What changed meanwhile is caught up, and its subscriptions are made again.

    Example: entra-sms tenants resume Contoso
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
    pausing.resume(installation, found)


@command.command(short_help="Disconnect a directory and erase what was read.")
@click.argument("tenant")
@click.option("--erase", is_flag=True, help="Erase everything of it; without this the command is refused.")
@click.option("--yes", is_flag=True, help="Do not ask; go on even if Graph cannot be reached.")
@click.pass_obj
def remove(installation: Installation, tenant: str, erase: bool, yes: bool) -> None:
    """Disconnect a directory and erase everything that was read from it.

    Its subscriptions at Graph are deleted, then people, groups, history and the credential are erased here. Nothing is
    changed in the directory. To stop reading it and keep the address book, pause it instead.

    Example: entra-sms tenants remove Contoso --erase
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
    if not erase:
        raise removal.refuse_without_erase(found)
    removal.remove(installation, found, may_ask=not yes)


command.add_command(credential.command)
command.add_command(scope.command)


def _cloud_in_words(installation: Installation, tenant: Tenant) -> str:
    try:
        cloud = installation.settings.cloud(tenant.cloud)
    except SettingsError as error:
        return str(error)
    return f"{cloud.name}: {cloud.graph_url}"


def removal_limit_in_words(limit: RemovalLimit) -> str:
    """Return how many may leave unasked."""
    if limit.percent == 100:
        return "off: any number of removals is made unasked"
    if limit.count == 0 and limit.percent == 0:
        return "none: every removal waits for a decision"
    percent = f"{limit.percent} % of the book"
    unasked = f"{output.number(limit.count)} within a day, or {percent} if that is more"
    if limit.percent == 0:
        unasked = f"{output.number(limit.count)} within a day"
    elif limit.count == 0:
        unasked = f"{percent} within a day"
    return f"{unasked}; more than that waits for a decision"


def recipients_in_words(rule: RecipientRule) -> str:
    """Return who is sent messages: of those with a number."""
    disabled = "also if the account is disabled" if rule.disabled else "unless the account is disabled"
    return f"everybody with a number, {disabled}{'' if rule.guests else ', but no guests'}"
