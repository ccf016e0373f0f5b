"""`entra-sms recipients`: the numbers that a message to groups goes to, and who is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import click
from sqlalchemy import Connection

from common.db.tenants import Tenant
from console import output
from console.choice import one_tenant, tenant_option
from console.connection import Installation
from console.export_options import Export, export_options
from console.group_choice import one_group
from console.reads.recipients import LeftOut, Recipient, Selection, judged

WHY = {
    LeftOut.EXCLUDED: "excluded (--except)",
    LeftOut.DISABLED: "account disabled",
    LeftOut.GUEST: "guest",
    LeftOut.MISSING: "no number",
    LeftOut.INVALID: "no valid number",
    LeftOut.EXCLUDED_NUMBER: "number of somebody who is excluded",
    LeftOut.SAME_NUMBER: "number of somebody who gets it already",
}


@click.command("recipients", short_help="Write the numbers that a message to groups goes to.")
@tenant_option
@click.argument("group", nargs=-1, required=True)
@click.option(
    "--except",
    "except_",
    multiple=True,
    metavar="GROUP",
    help="Nobody of this group, and no number of theirs; may be given several times.",
)
@export_options
@click.option("--limit", type=click.IntRange(1), metavar="COUNT", help="How many to write at most; all unless given.")
@click.pass_obj
def command(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    group: tuple[str, ...],
    except_: tuple[str, ...],
    export: Export,
    limit: int | None,
) -> None:
    """Write everybody who gets a message to one or several groups, each number once, ordered by object id.

    They are the people in the groups and in the groups in them, with a number. Whether disabled accounts and guests
    are among them is a setting of the tenant: entra-sms tenants show. Who is left out, and why, is told on stderr.

    Columns: phone (E.164), display_name, given_name, surname, object_id. GROUP is an object id, a name, a mail address,
    or a part of the name.

    Example: entra-sms recipients Sales Marketing --except "On leave" --output recipients.csv
    """
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        wanted = Selection(
            found.tenant_id,
            found.recipient_rule,
            group_ids=_ids(connection, found, group),
            except_ids=_ids(connection, found, except_),
        )
        counted: Counter[LeftOut | None] = Counter()
        recipients = _counting(judged(connection, wanted), counted)
        export.write(islice(recipients, limit), Recipient)
        for _ in recipients:  # beyond the limit they are counted only
            pass
    output.note(in_words(counted, limit))


def _ids(connection: Connection, tenant: Tenant, groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(one_group(connection, tenant, wanted).object_id for wanted in groups)


def _counting(everybody: Iterable[Recipient | LeftOut], counted: Counter[LeftOut | None]) -> Iterator[Recipient]:
    for one in everybody:
        if isinstance(one, Recipient):
            counted[None] += 1
            yield one
        else:
            counted[one] += 1


def in_words(counted: Counter[LeftOut | None], limit: int | None = None) -> str:
    """Return how many get a message and how many do not and why; `counted` has recipients under None."""
    recipients, people = counted[None], counted.total()
    if not people:
        return "Nobody is in there."
    lines = [f"{output.plural(recipients, 'recipient')} of {output.plural(people, 'person', 'people')}."]
    if limit is not None and limit < recipients:
        lines[0] = f"{lines[0][:-1]}; the first {output.number(limit)} were written."
    numbers = {reason: output.number(counted[reason]) for reason in LeftOut if counted[reason]}
    if numbers:
        width = max(len(number) for number in numbers.values())
        lines.append("Left out:")
        lines += [f"  {number:>{width}}  {WHY[reason]}" for reason, number in numbers.items()]
    return "\n".join(lines)
