"""`entra-sms results`: what came of commands and full syncs, and what operators were warned of."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click
import orjson
from rich.text import Text

from console import output, times
from console.choice import one_tenant
from console.connection import Installation
from console.listing import limit_option
from console.reads import results
from console.reads.results import Result

FOLLOW_SECONDS = 1.0
MOST_AT_ONCE = 1_000
STYLES = {"done": "green", "failed": "bold red", "refused": "bold red", "repeated": "yellow", "warning": "yellow"}
NOTHING = "Nothing has been told yet: no command was given, and no full sync has ended."


@click.command("results")
@click.option("--tenant", metavar="TENANT", help="Only what is about this tenant alone: its name, domain or id.")
@limit_option
@click.option("--follow", is_flag=True, help="Go on showing what comes, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON, one a line, for programs.")
@click.pass_obj
def command(installation: Installation, /, *, tenant: str | None, limit: int, follow: bool, as_json: bool) -> None:
    """Show what came of commands and of full syncs, and warnings; the latest are last.

    The same is told in RabbitMQ's queue sync.results for a week; here it is for 30 days, and nothing is taken away by
    looking.

    Example: entra-sms results --limit 20 --follow
    """
    with installation.database.read() as connection:
        tenant_id = one_tenant(connection, tenant).tenant_id if tenant is not None else None
        found = results.latest(connection, tenant_id=tenant_id, limit=limit)
    if not found and not as_json:
        output.note(NOTHING)
    show(found, as_json=as_json)
    last = found[-1].result_id if found else 0
    while follow:
        time.sleep(FOLLOW_SECONDS)
        with installation.database.read() as connection:
            found = results.since(connection, last, tenant_id=tenant_id, limit=MOST_AT_ONCE)
        show(found, as_json=as_json)
        last = found[-1].result_id if found else last


def show(found: Sequence[Result], *, as_json: bool) -> None:
    """Print results, each on a line of its own, or as many lines as it needs on a terminal."""
    for one in found:
        if as_json:
            kept = {"kind": one.kind, "message_id": one.command_id, **one.body}
            sys.stdout.write(orjson.dumps(kept).decode() + "\n")
        else:
            outcome = Text(f"{one.outcome:<8}", STYLES.get(one.outcome, ""))
            output.item(Text.assemble(times.moment(one.at), "  ", outcome), one.summary)
    sys.stdout.flush()
