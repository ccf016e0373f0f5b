"""`entra-sms sync`: put the request on the queue as an operator would, and with ``--wait`` see it through."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import click

from common.broker import outgoing
from common.db.tenants import Tenant
from common.messages import Stream, Verb
from console import output, queues
from console.choice import some_tenants, tenant_option
from console.connection import Installation
from console.exits import Exit
from console.phases import Asked
from console.reads import advance
from console.waiting import Waiting


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
@click.option("--wait", is_flag=True, help="Show the progress, and end when the address book is complete.")
@click.option(
    "--timeout",
    "timeout_seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="With --wait: give up waiting after so long; the sync goes on.",
)
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

    With --wait the exit code is 0 when the address book is complete, and the reason is printed when it is not.

    Example: entra-sms sync --tenant Contoso --full --wait
    """
    if timeout_seconds is not None and not wait:
        raise click.UsageError("--timeout says how long to wait, so it needs --wait.")
    with installation.database.read() as connection:
        tenants = some_tenants(connection, tenant)
        since, asked_at = advance.latest_round(connection), installation.database.now(connection)
    chosen = list(Stream) if stream_name == "both" else [Stream(stream_name)]
    with_name = len(tenants) > 1
    asked = [part for one in tenants for part in _ask(installation, one, chosen, full=full, with_name=with_name)]
    if not wait:
        _say_what_was_queued(tenants, full=full)
        return Exit.OK
    waiting = Waiting(
        installation.database,
        asked,
        since=since,
        asked_at=asked_at,
        timeout_seconds=timeout_seconds,
        workers=lambda: queues.workers(installation.settings),
    )
    return waiting.see_through()


def _ask(
    installation: Installation, tenant: Tenant, chosen: Sequence[Stream], *, full: bool, with_name: bool
) -> list[Asked]:
    """Publish the command, the same as typed into RabbitMQ's management UI."""
    request_id = str(uuid4())
    verb = Verb.FULL_RESYNC if full else Verb.SYNC_NOW
    stream = chosen[0] if len(chosen) == 1 else "*"
    fields = {"tenant": tenant.tenant_id, "stream": str(stream)}
    installation.publish(outgoing.command(verb, fields, message_id=request_id))
    name = output.shown(tenant.name)
    prefix = f"{name} " if with_name else ""
    return [Asked(tenant.tenant_id, name, one, request_id, title=f"{prefix}{one}") for one in chosen]


def _say_what_was_queued(tenants: Sequence[Tenant], *, full: bool) -> None:
    kind = "full sync" if full else "sync"
    names = ", ".join(output.shown(tenant.name) for tenant in tenants)
    output.say(f"Queued a {kind} of {names}.")
    output.say("Watch it with: entra-sms status   (or add --wait next time)")
