"""`entra-sms holds`: removals that were too many, and what to do about them."""

from __future__ import annotations

import sys

import click
import orjson

from common.commands import Verb
from console import decision, hold_card, hold_words, output
from console.choice import one_tenant
from console.connection import Installation
from console.exits import Exit
from console.hold_choice import NOTHING, hold_argument, of_tenant_option, one_hold, one_open_hold
from console.listing import limit_option, say_that_there_is_more
from console.reads import holds
from console.waiting import wait_options


@click.group("holds")
def command() -> None:
    """Look at removals that were too many, and approve or reject them.

    When more people (or groups) would leave the address book within a day than the tenant's limit allows, nobody is
    removed until you decide. HOLD is a number of `holds list`; it may be left out when only one is open.

    Example: entra-sms holds show
    """


@command.command("list", short_help="List what is held.")
@of_tenant_option
@click.option("--all", "with_ended", is_flag=True, help="Those that have ended as well, and when and how.")
@click.pass_obj
def list_(installation: Installation, /, *, tenant: str | None, with_ended: bool) -> None:
    """List what is held: how many removals, of how many people or groups, since when, and why.

    Without --tenant, of all tenants.

    Example: entra-sms holds list --all
    """
    with installation.database.read() as connection:
        tenant_ids = [one_tenant(connection, tenant).tenant_id] if tenant is not None else None
        read = holds.all_holds if with_ended else holds.open_holds
        found, now = read(connection, tenant_ids), installation.database.now(connection)
    if found:
        hold_card.show_list(found, now, with_ended=with_ended)
    else:
        output.note("Nothing was ever held." if with_ended else NOTHING)


@command.command(short_help="Show why a hold is there, and who would be removed.")
@of_tenant_option
@hold_argument
@limit_option
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON, for programs: with all object ids.")
@click.pass_obj
def show(installation: Installation, /, *, tenant: str | None, hold: int | None, limit: int, as_json: bool) -> None:
    """Show why a hold is there, what is applied meanwhile, who would be removed, and what to type next.

    Example: entra-sms holds show 3
    """
    with installation.database.read() as connection:
        now = installation.database.now(connection)
        found = one_hold(connection, hold, tenant, now)
        if as_json:
            body = hold_card.as_json(found, holds.numbered_ids(connection, found) if found.is_open else [])
            sys.stdout.write(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n")
            return
        removals = holds.page(connection, found, limit) if found.is_open else []
    output.facts(hold_card.facts_of(found, now))
    if found.is_open:
        output.say()
        hold_card.show_removals(found.stream, removals)
        say_that_there_is_more(len(removals), found.held, found.nouns, f"{hold_words.command('show', found)} --json")
        output.note()
        output.note(f"To remove them:  {hold_words.command('approve', found)} --up-to {found.last_number}")
        output.note(f"To keep them:    {hold_words.command('reject', found)}")


@command.command(short_help="Remove those who are held.")
@of_tenant_option
@hold_argument
@click.option(
    "--up-to",
    type=click.IntRange(min=1),
    metavar="NO",
    help="The highest number that you were shown; who was held later is not removed. Default: all who are held now.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@wait_options
@click.pass_obj
def approve(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    hold: int | None,
    up_to: int | None,
    yes: bool,
    wait: bool,
    timeout_seconds: float | None,
) -> Exit:
    """Remove those who are held from the address book.

    You are told how many and some of their names, and asked to type how many they are. Who is held after that is not
    approved by it: it is treated like any other removal, made if it is within the limit, and else held.

    Example: entra-sms holds approve 3 --up-to 523 --wait
    """
    with installation.database.read() as connection:
        found = one_open_hold(connection, hold, tenant, installation.database.now(connection))
        approval = decision.approval_of(connection, found, up_to)
    decision.confirm(approval, may_ask=not yes)
    return decision.decide(
        installation, found, Verb.APPROVE_REMOVALS, up_to=approval.up_to, wait=wait, timeout_seconds=timeout_seconds
    )


@command.command(short_help="Keep those who are held, and read everything again.")
@of_tenant_option
@hold_argument
@wait_options
@click.pass_obj
def reject(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    hold: int | None,
    wait: bool,
    timeout_seconds: float | None,
) -> Exit:
    """Remove nobody, and read users and groups of the tenant again in full.

    Whoever is in the directory then is no longer held. Those who are still missing are held anew if they are too many
    again, and else removed; so mend the directory, or the access to it, before.

    Example: entra-sms holds reject 3 --wait
    """
    with installation.database.read() as connection:
        found = one_open_hold(connection, hold, tenant, installation.database.now(connection))
    output.note(
        f"This removes none of the {found.things(found.held)}. Users and groups of {output.shown(found.tenant_name)} "
        "are read again in full; whoever is in the directory is then no longer held."
    )
    return decision.decide(installation, found, Verb.REJECT_REMOVALS, wait=wait, timeout_seconds=timeout_seconds)
