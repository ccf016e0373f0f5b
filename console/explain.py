"""`entra-sms explain`: why a person is in the address book or not, with which number, and in which groups."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import orjson
from sqlalchemy import Connection

from common.db.tenants import Tenant
from common.errors import RetryLaterError
from console import explained_card, explained_live, output
from console.access import where_to_look
from console.choice import one_tenant, tenant_option
from console.connection import Installation
from console.exits import ConsoleError, Exit
from console.explained import Explained, explain
from console.explained_export import everything_about
from console.explained_json import as_json
from console.explained_live import Live
from console.explained_presence import caveats
from console.listing import LARGEST_LIMIT
from console.person_choice import NobodyError, one_person
from console.reads import advance
from console.reads.people import as_guid
from console.whole_file import whole_file

EVENTS = 10
STDOUT = Path("-")


@click.command("explain", short_help="Tell why a person has this number or none, or is not in the book.")
@tenant_option
@click.argument("person")
@click.option("--live", is_flag=True, help="Ask Graph too, and show what differs.")
@click.option(
    "--limit",
    type=click.IntRange(1, LARGEST_LIMIT),
    default=EVENTS,
    show_default=True,
    metavar="COUNT",
    help="How many changes to show.",
)
@click.option("--json", "as_json_", is_flag=True, help="Write it as JSON, for programs.")
@click.option(
    "--export",
    "export_to",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Write everything that is stored about the person, with what it is for; '-' is standard output.",
)
@click.pass_obj
def command(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    person: str,
    live: bool,
    limit: int,
    as_json_: bool,
    export_to: Path | None,
) -> Exit:
    """Tell why a person is in the address book or not, with which number and why, in which groups, and what changed.

    PERSON is an object id, a mail address, a user principal name, a number in any format, a name, or a part of these.
    Of people who left only the object id is known. The exit code is 1 when nobody is like that.

    Example: entra-sms explain anna@contoso.com --live
    """
    if export_to is not None and (live or as_json_):
        raise click.UsageError("--export writes what is stored, and goes without --live and --json.")
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        now = installation.database.now(connection)
        object_id = as_guid(person) or _object_id(connection, installation, found, person)
        explained = explain(connection, found, object_id, now, events=limit)
        _refuse_groups(explained)
        everything = everything_about(connection, found, object_id, now) if export_to is not None else None
    if export_to is not None:
        _export(everything, export_to)
        return Exit.OK if explained.presence.state.is_known else Exit.FAILED
    if not as_json_:
        explained_card.show(explained)
    said = _ask(installation, explained) if live else None
    if as_json_:
        body = as_json(explained, said)
        sys.stdout.write(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n")
    elif said is not None:
        explained_card.show_live(explained, said)
    elif explained.person is None:
        output.note(f"To ask Graph itself: entra-sms explain {object_id} --live")
    is_somebody = explained.presence.state.is_known or (said is not None and said.is_known)
    return Exit.OK if is_somebody else Exit.FAILED


def _export(everything: dict[str, Any] | None, file: Path) -> None:
    text = orjson.dumps(everything, option=orjson.OPT_INDENT_2).decode() + "\n"
    if file == STDOUT:
        output.make_stdout_utf8().write(text)
        return
    with whole_file(file) as opened:
        opened.write(text)


def _object_id(connection: Connection, installation: Installation, tenant: Tenant, wanted: str) -> str:
    try:
        return one_person(connection, tenant, wanted).object_id
    except NobodyError as error:
        advances = {one.stream: one for one in advance.of_tenants(connection, [tenant.tenant_id])}
        reservations = caveats(tenant, advances, installation.database.now(connection))
        raise NobodyError(
            f"{error}\nOf people who left, and of those who never came, only the object id can be explained; "
            "the Entra admin center shows it: entra-sms explain OBJECT-ID --live"
            + "".join(f"\n{reservation}" for reservation in reservations)
        ) from None


def _refuse_groups(explained: Explained) -> None:
    passage = explained.traces.last_passage
    if explained.traces.is_group:
        raise ConsoleError(f"This is the id of a group: entra-sms groups show {explained.object_id}")
    if passage is not None and passage.is_of_group:
        raise ConsoleError("This is the id of a group that is no longer in the address book.")


def _ask(installation: Installation, explained: Explained) -> Live:
    try:
        return explained_live.ask(installation.graph_of(explained.tenant), explained)
    except RetryLaterError as error:
        cloud = installation.settings.cloud(explained.tenant.cloud)
        where = where_to_look(error, installation.settings, cloud)
        raise ConsoleError(f"{error} {where}", Exit.UNREACHABLE) from None
