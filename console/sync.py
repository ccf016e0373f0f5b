"""`entra-sms sync`: put the request on the queue as an operator would, and with ``--wait`` see it through."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import click

from common.commands import Verb
from common.db.tenants import Tenant, TenantState
from common.messages import Stream
from console import output
from console.answers import see_answered
from console.asked import Asked, ask
from console.choice import one_tenant, some_tenants, tenant_option
from console.connection import Installation
from console.exits import Exit
from console.group_choice import one_group
from console.person_choice import one_person
from console.phases import paused
from console.reads import advance
from console.waiting import Waiting, wait_options


@click.command("sync")
@tenant_option
@click.option("--full", is_flag=True, help="Read everything, not only what changed since the last time.")
@click.option(
    "--stream",
    "stream_name",
    type=click.Choice([*(str(stream) for stream in Stream), "both"]),
    default="both",
    show_default=True,
    help="Which half of the directory.",
)
@click.option("--person", metavar="PERSON", help="Read only this person again: object id, address, number or name.")
@click.option("--group", metavar="GROUP", help="Read only this group and its members again: object id or name.")
@wait_options
@click.pass_obj
def command(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    full: bool,
    stream_name: str,
    person: str | None,
    group: str | None,
    wait: bool,
    timeout_seconds: float | None,
) -> Exit:
    """Bring the address book up to date now.

    Changes arrive by themselves within seconds; this is for when you do not want to rely on it. With --full the whole
    directory is read again and whoever is not in it any more is removed; changes go on arriving meanwhile. Use '*' as
    TENANT for all tenants.

    With --wait the exit code is 0 when the address book is complete, 6 when too many would be removed and that waits
    for a decision (see entra-sms holds), and the reason is printed when it is not.

    With --person or --group only that one is read, from the object itself: for somebody of whom the address book and
    the directory seem to differ (see entra-sms explain PERSON --live).

    \b
    Examples:
      entra-sms sync --tenant Contoso --full --wait
      entra-sms sync --person "Anna Nowak" --wait
    """  # noqa: D301 - the backspace tells click to keep the lines as they are
    if person is not None or group is not None:
        if full or stream_name != "both" or (person is not None and group is not None):
            raise click.UsageError("--person or --group is one object; it goes with nothing but --tenant and --wait.")
        return _read_object(installation, tenant, person, group, wait=wait, timeout_seconds=timeout_seconds)
    with installation.database.read() as connection:
        tenants = _without_paused(some_tenants(connection, tenant))
        mark = advance.mark(connection, installation.database.now(connection))
    chosen = list(Stream) if stream_name == "both" else [Stream(stream_name)]
    with_name = len(tenants) > 1
    asked = [part for one in tenants for part in _ask(installation, one, chosen, full=full, with_name=with_name)]
    if not wait:
        _say_what_was_queued(tenants, full=full)
        return Exit.OK
    return Waiting(installation, asked, mark, timeout_seconds).see_through()


def _without_paused(tenants: Sequence[Tenant]) -> Sequence[Tenant]:
    """Return those of `tenants` that are read at all, and name the others.

    Raises:
        ConsoleError: none is.
    """
    read = [tenant for tenant in tenants if tenant.state is not TenantState.PAUSED]
    if not read:
        raise paused(output.shown(tenants[0].name), tenants[0].state_since)
    for tenant in tenants:
        if tenant.state is TenantState.PAUSED:
            output.note(f"{output.shown(tenant.name)} is paused, and is left out.")
    return read


def _read_object(
    installation: Installation,
    wanted_tenant: str | None,
    person: str | None,
    group: str | None,
    *,
    wait: bool,
    timeout_seconds: float | None,
) -> Exit:
    with installation.database.read() as connection:
        [tenant] = _without_paused([one_tenant(connection, wanted_tenant)])
        wanted = person if person is not None else str(group)
        object_id = _id_of(wanted)
        if object_id is None and person is not None:
            object_id = one_person(connection, tenant, wanted).object_id
        elif object_id is None:
            object_id = one_group(connection, tenant, wanted).object_id
    stream = Stream.USERS if person is not None else Stream.GROUPS
    fields = {"object": object_id, "stream": str(stream)}
    [asked] = ask(
        installation,
        Verb.RESYNC_OBJECT,
        fields,
        tenant_id=tenant.tenant_id,
        tenant_name=tenant.name,
        answered_by=[stream],
    )
    if wait:
        return see_answered(installation, asked.request_id, timeout_seconds)
    output.say(f"Queued the reading of {output.shown(wanted)}. What comes of it will be in: entra-sms results")
    return Exit.OK


def _id_of(wanted: str) -> str | None:
    """Return an object id that was typed: of somebody who is not in the book, too."""
    try:
        return str(UUID(wanted.strip()))
    except ValueError:
        return None


def _ask(
    installation: Installation, tenant: Tenant, chosen: Sequence[Stream], *, full: bool, with_name: bool
) -> list[Asked]:
    return ask(
        installation,
        Verb.FULL_RESYNC if full else Verb.SYNC_NOW,
        {"stream": str(chosen[0]) if len(chosen) == 1 else "*"},
        tenant_id=tenant.tenant_id,
        tenant_name=tenant.name,
        answered_by=chosen,
        with_name=with_name,
    )


def _say_what_was_queued(tenants: Sequence[Tenant], *, full: bool) -> None:
    kind = "full sync" if full else "sync"
    names = ", ".join(output.shown(tenant.name) for tenant in tenants)
    output.say(f"Queued a {kind} of {names}.")
    output.say("Watch it with: entra-sms status   (or add --wait next time)")
