"""`entra-sms sync`: put the request on the queue as an operator would, and with ``--wait`` see it through."""

from __future__ import annotations

from collections.abc import Sequence

import click

from common.commands import Verb
from common.db.tenants import Tenant
from common.messages import Stream
from console import output
from console.asked import Asked, ask
from console.choice import some_tenants, tenant_option
from console.connection import Installation
from console.exits import Exit
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
@wait_options
@click.pass_obj
def command(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    full: bool,
    stream_name: str,
    wait: bool,
    timeout_seconds: float | None,
) -> Exit:
    """Bring the address book up to date now.

    Changes arrive by themselves within seconds; this is for when you do not want to rely on it. With --full the whole
    directory is read again and whoever is not in it any more is removed; changes go on arriving meanwhile. Use '*' as
    TENANT for all tenants.

    With --wait the exit code is 0 when the address book is complete, 6 when too many would be removed and that waits
    for a decision (see entra-sms holds), and the reason is printed when it is not.

    Example: entra-sms sync --tenant Contoso --full --wait
    """
    with installation.database.read() as connection:
        tenants = some_tenants(connection, tenant)
        mark = advance.mark(connection, installation.database.now(connection))
    chosen = list(Stream) if stream_name == "both" else [Stream(stream_name)]
    with_name = len(tenants) > 1
    asked = [part for one in tenants for part in _ask(installation, one, chosen, full=full, with_name=with_name)]
    if not wait:
        _say_what_was_queued(tenants, full=full)
        return Exit.OK
    return Waiting(installation, asked, mark, timeout_seconds).see_through()


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
