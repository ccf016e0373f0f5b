"""The scope of a tenant is changed: what comes of it is counted in the directory first, and shown.

Nothing of who is outside is stored here, so only Graph can tell who would come in: everybody is listed, with the
attributes that the condition needs and nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import click
from sqlalchemy import select

from common.db import members, tenants
from common.db.tables import contacts
from common.db.tenants import Tenant, TenantState
from common.errors import AccessError, RetryLaterError
from common.graph.client import LIST_PAGE
from common.messages import Stream
from common.scope import Scope
from console import enrolment, output, scope_words
from console.access import where_to_look
from console.choice import typed
from console.connection import Installation
from console.exits import ConsoleError, Exit
from console.output import plural
from console.reads import advance


@dataclass(frozen=True)
class Preview:
    """How many people the directory has, how many of them belong in the book, and what that changes."""

    people: int
    inside: int
    entering: int
    leaving: int


def change(
    installation: Installation, tenant: Tenant, wanted: Scope, names: Mapping[str, str], *, may_ask: bool
) -> None:
    """Show what another scope changes, and change it if that is wanted.

    Raises:
        ConsoleError: Graph could not be asked, or the groups have not been read; nothing was changed.
    """
    name = output.shown(tenant.name)
    if wanted.shape == tenant.scope.shape:
        output.say(f"That is the scope of {name} already. Nothing was changed.")
        return
    if wanted.group_ids:
        _refuse_unread_groups(installation, tenant)
    preview = _preview(installation, tenant, wanted)
    output.facts(
        [
            ("Now", scope_words.in_words(tenant.scope, names)),
            ("Then", scope_words.in_words(wanted, names)),
            (
                "Directory",
                f"{plural(preview.people, 'person', 'people')}, of whom {preview.inside:,} belong in the book",
            ),
            ("Come in", output.number(preview.entering)),
            ("Leave", f"{output.number(preview.leaving)}{_erased(preview.leaving)}"),
        ]
    )
    if may_ask and not _is_confirmed():
        return
    with installation.database.write() as connection:
        if not tenants.change_scope(connection, tenant.tenant_id, wanted, installation.database.now(connection)):
            raise ConsoleError(f"{name} was removed meanwhile.")
    output.say(f"The scope of {name} is changed.")
    if tenant.state is TenantState.PAUSED:
        output.say(
            f"The tenant is paused: that is applied from when it is resumed: entra-sms tenants resume {typed(tenant)}"
        )
    elif enrolment.nudge(installation, tenant.tenant_id):
        output.say("Everybody is read once more now. Watch it with: entra-sms status")


def _erased(count: int) -> str:
    return ": their names and numbers are erased here" if count else ""


def _is_confirmed() -> bool:
    if not sys.stdin.isatty():
        output.note("Nothing was changed. To change it, give --yes as well.")
        return False
    if not click.confirm("Change it?", default=False, err=True):
        output.note("Nothing was changed.")
        return False
    return True


def _refuse_unread_groups(installation: Installation, tenant: Tenant) -> None:
    with installation.database.read() as connection:
        read = {one.stream: one.last_full_at for one in advance.of_tenants(connection, [tenant.tenant_id])}
    if read.get(Stream.GROUPS) is None:
        raise ConsoleError(
            "The groups have not been read in full yet, so nobody can tell whom they reach. "
            "Wait for the first sync: entra-sms status"
        )


def _preview(installation: Installation, tenant: Tenant, wanted: Scope) -> Preview:
    """Count by asking Graph for everybody."""
    with installation.database.read() as connection:
        book = select(contacts.c.object_id).where(contacts.c.tenant_id == tenant.tenant_id)
        in_book = set(connection.scalars(book))
        reach = members.people_within(tenant.tenant_id, *wanted.group_ids).distinct()
        reached = set(connection.scalars(reach)) if wanted.group_ids else set()
    client = installation.graph_of(tenant)
    people = inside = entering = leaving = 0
    try:
        with output.stderr().status("Reading the directory ...") as status:
            for entry in client.people(wanted.properties):
                object_id = str(entry.get("id")).lower()
                said = {name: entry.get(name) for name in wanted.properties}
                belongs = bool(wanted.admits(said, is_reached=object_id in reached))
                people += 1
                inside += belongs
                entering += belongs and object_id not in in_book
                leaving += not belongs and object_id in in_book
                if people % LIST_PAGE == 0:
                    status.update(f"Reading the directory ... {plural(people, 'person', 'people')}")
    except AccessError as error:
        raise ConsoleError(f"{error} Nothing was changed.", Exit.ACCESS_REFUSED) from None
    except RetryLaterError as error:
        where = where_to_look(error, installation.settings, client.cloud)
        raise ConsoleError(
            f"The directory could not be read, so what would change is not known. {error} {where} Nothing was changed.",
            Exit.UNREACHABLE,
        ) from None
    return Preview(people, inside, entering, leaving)
