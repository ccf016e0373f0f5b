"""`entra-sms changes`: everything that happened to the address book, in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

import click
import orjson

from console import explained_changes, output, times
from console.choice import one_tenant
from console.connection import Installation
from console.listing import limit_option
from console.output import shown
from console.reads import changes
from console.reads.changes import AT_ONCE, Change
from console.reads.history import Event
from console.reads.horizon import Horizon

FOLLOW_SECONDS = 1.0
NOTHING = "Nothing has changed yet."


@click.command("changes")
@click.option("--tenant", metavar="TENANT", help="Only those of this tenant: its name, domain or id.")
@click.option("--since", type=click.IntRange(0), metavar="SEQUENCE", help="The first ones after this number.")
@limit_option
@click.option("--follow", is_flag=True, help="Go on showing what happens, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON, one a line, for programs.")
@click.pass_obj
def command(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    since: int | None,
    limit: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Show who came, changed, joined, left: every change of the address book with its number, the latest last.

    The feed has ids and names of fields; the names of people and groups are those in the address book now, so who has
    left is shown by the id. docs/events.md tells how programs get the changes themselves.

    Example: entra-sms changes --follow
    """
    horizon = Horizon(installation.database)
    with installation.database.read() as connection:
        tenant_id = one_tenant(connection, tenant).tenant_id if tenant is not None else None
        last = horizon.find(connection, since)
        if since is None:
            found = changes.latest(connection, tenant_id=tenant_id, limit=limit, up_to=last)
        else:
            found = changes.after(connection, since, tenant_id=tenant_id, limit=limit, up_to=last)
            last = found[-1].sequence if found else since
    if not found and not as_json:
        output.note(NOTHING if since is None else f"Nothing has changed since number {since}.")
    show(found, as_json=as_json, with_tenant=tenant is None)
    while follow:
        with installation.database.read() as connection:
            up_to = horizon.find(connection, last)
            found = changes.after(connection, last, tenant_id=tenant_id, limit=AT_ONCE, up_to=up_to)
        last = found[-1].sequence if len(found) == AT_ONCE else max(last, up_to)
        show(found, as_json=as_json, with_tenant=tenant is None)
        time.sleep(FOLLOW_SECONDS if len(found) < AT_ONCE else 0)


def show(found: Sequence[Change], *, as_json: bool, with_tenant: bool) -> None:
    """Print changes, each on a line of its own; `with_tenant`: and whose they are."""
    for one in found:
        if as_json:
            sys.stdout.write(orjson.dumps(asdict(one)).decode() + "\n")
        else:
            whose = f"{shown(one.tenant)}: " if with_tenant else ""
            output.say(f"{one.sequence:>8}  {times.moment(one.at)}  {whose}{sentence(one)}")
    sys.stdout.flush()


def sentence(change: Change) -> str:
    """Return e.g. ``Zofia Szymańska: joined Marketing (notification)``."""
    noun = "group" if change.kind.startswith("group.") else "person" if change.member_id is None else "member"
    who = shown(change.name) if change.name else f"the {noun} {change.member_id or change.object_id}"
    group_id = change.object_id if change.member_id is not None else None
    event = Event(change.at, change.kind, change.reason, change.fields, group_id, change.group)
    return f"{who}: {explained_changes.in_words(event)}"
