"""`entra-sms reports`: whose number is missing, invalid, shared or not a mobile one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

import click

from common.db import members
from console import exporting, output, reports_table
from console.choice import one_tenant, tenant_option
from console.connection import Installation
from console.exporting import Format
from console.group_choice import one_group
from console.listing import limit_option
from console.reads import people
from console.reads.people import Filter
from console.reads.reports import KINDS, Report, Scope, rows


class Shape(StrEnum):
    """How a report is written: for people, or as an export."""

    TABLE = "table"
    CSV = Format.CSV
    JSON = Format.JSON


@dataclass(frozen=True)
class Count:
    """How many of `total` people are in a report."""

    report: Report
    people: int
    total: int


@click.command("reports", short_help="Show whose number is missing, invalid, shared or not a mobile one.")
@tenant_option
@click.argument("name", type=click.Choice([str(one) for one in Report]), metavar="[REPORT]", required=False)
@click.option(
    "--group", metavar="GROUP", help="Only the people of this group and of the groups in it; a name or an id."
)
@click.option(
    "--format", "shape", type=click.Choice(Shape, case_sensitive=False), default=Shape.TABLE, show_default=True
)
@limit_option
@click.pass_obj
def command(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    name: str | None,
    group: str | None,
    shape: Shape,
    limit: int,
) -> None:
    """Show whose number needs a look; without a name, how many people are in each report.

    \b
    REPORT is one of:
      missing      no number in the directory
      invalid      something stands there that is no valid number; and what
      shared       the same number as somebody else; number by number
      not-mobile   a landline or another number that SMS may not reach

    --limit is for tables; csv and json have everybody, and more columns.

    Example: entra-sms reports invalid --group Sales
    """  # noqa: D301 - the backspace tells click to keep the lines as they are
    with installation.database.read() as connection:
        found = one_tenant(connection, tenant)
        within = None
        if group is not None:
            within = members.people_within(found.tenant_id, one_group(connection, found, group).object_id)
        scope = Scope(found.tenant_id, found.default_region, within)
        if name is None:
            total = people.count(connection, Filter(found.tenant_id, None, within=within))
            counts = [Count(one, sum(1 for _ in rows(connection, one, scope)), total) for one in Report]
            _write_counts(counts, shape)
            return
        report = Report(name)
        reported = rows(connection, report, scope)
        if shape is not Shape.TABLE:
            exporting.write(reported, KINDS[report], Format(shape))
            return
        shown = list(islice(reported, limit))
        reports_table.show(report, shown, len(shown) + sum(1 for _ in reported))


def _write_counts(counts: Sequence[Count], shape: Shape) -> None:
    if shape is not Shape.TABLE:
        exporting.write(counts, Count, Format(shape))
        return
    table = [(one.report, output.number(one.people), reports_table.WHAT[one.report]) for one in counts]
    output.table(("REPORT", "PEOPLE", "WHAT"), table, right=("PEOPLE",))
    of = output.plural(counts[0].total, "person", "people")
    output.note(f"Of {of}. Somebody may be in several. Who they are: entra-sms reports {counts[0].report}")
