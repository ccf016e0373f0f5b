"""`entra-sms snapshot`: tell a consumer that begins the whole address book of a tenant, as events on its queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click

from common import events
from common.broker import outgoing
from common.clock import to_text
from common.db.engine import Database
from common.events import Change
from console import output
from console.choice import one_tenant, tenant_option
from console.connection import Installation
from console.output import plural, shown
from console.reads import snapshot
from console.reads.snapshot import Page

PARTS: dict[str, tuple[str, Callable[[Database, str], Iterator[Page]], dict[str, Any]]] = {
    "groups": ("group", snapshot.groups_of, {"groups": []}),
    "contacts": ("contact", snapshot.contacts_of, {"groups": []}),
    "memberships": ("membership", snapshot.memberships_of, {}),
}
"""What is told, in this order: its noun, its pages, and what else belongs to its event."""


@click.command("snapshot")
@tenant_option
@click.option("--queue", required=True, metavar="QUEUE", help="The consumer's queue; it has to be there.")
@click.pass_obj
def command(installation: Installation, /, *, tenant: str | None, queue: str) -> None:
    """Put the whole address book of a tenant on a consumer's queue, as events.

    For a consumer that begins, or whose queue was lost. Changes go on meanwhile, and other consumers notice nothing.
    docs/events.md tells how a consumer puts both together.

    Example: entra-sms snapshot --tenant Nordwind --queue sms-platform
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
    now = datetime.now(UTC)
    around = {"tenant_id": found.tenant_id, "at": to_text(now)}
    # The number is taken after this is in the queue: so whatever has a higher one comes behind it.
    installation.publish_all([outgoing.event({"event": "snapshot.began", **around}, queue=queue)])
    number = snapshot.horizon(installation.database, found.tenant_id)
    counts = dict.fromkeys(PARTS, 0)
    for part, (noun, pages, more) in PARTS.items():
        change = Change(f"{noun}.added", found.tenant_id, number, now, events.SNAPSHOT)
        for page in pages(installation.database, found.tenant_id):
            bodies = [change.told(**{noun: one}, **more) for one in page]
            installation.publish_all([outgoing.event(body, queue=queue) for body in bodies])
            counts[part] += len(page)
    installation.publish_all([outgoing.event({"event": "snapshot.ended", **around, **counts}, queue=queue)])
    told = ", ".join(
        (
            plural(counts["contacts"], "person", "people"),
            *(plural(counts[part], part[:-1]) for part in ("groups", "memberships")),
        )
    )
    output.say(f"The address book of {shown(found.name)} is on the queue {shown(queue)}: {told}.")
