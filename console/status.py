"""`entra-sms status`: whether everything works, on one screen."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click
import orjson

from common.db import tenants
from common.errors import DatabaseUnavailableError, EntraSmsError
from console import condition, output, queue_words, queues, status_block, status_monitoring, status_table
from console.choice import NO_TENANT_YET, one_tenant, tenant_option
from console.condition import Condition
from console.connection import Installation
from console.exits import Exit
from console.queues import Broker
from console.reads import overview
from console.status_json import as_json
from console.status_monitoring import PluginExit
from console.troubles import Trouble, summed_up

BLOCKS = 4
"""More tenants than this get a line each."""


@dataclass(frozen=True)
class Status:
    """Everything that was looked at."""

    conditions: Sequence[Condition]
    broker: Broker

    @property
    def troubles(self) -> list[Trouble]:
        return [*self.broker.troubles, *(trouble for one in self.conditions for trouble in one.troubles)]


@click.command("status")
@tenant_option
@click.option("--json", "as_json_", is_flag=True, help="Write it as JSON, for programs.")
@click.option(
    "--monitoring",
    is_flag=True,
    help="Write one line, and end as monitoring plugins do: 0 well, 1 warning, 2 critical, 3 unknown.",
)
@click.pass_obj
def command(
    installation: Installation, /, *, tenant: str | None, as_json_: bool, monitoring: bool
) -> Exit | PluginExit:
    """Show whether everything works: each tenant, its streams and subscriptions, the queues.

    The exit code is 0 when all is well and 1 when something needs attention, which is then said at the end. A tenant
    that is paused is shown, and is no trouble.

    Example: entra-sms status
    """
    if as_json_ and monitoring:
        raise click.UsageError("--json and --monitoring are two ways to write it; choose one.")
    if monitoring:
        return _monitoring(installation, tenant)
    broker = queues.view(installation.settings, installation.broker_place)
    try:
        found = Status(_conditions(installation, tenant), broker)
    except DatabaseUnavailableError as error:
        if not as_json_:
            _print_broker(broker)
        raise error from None
    if as_json_:
        body = as_json(found.conditions, broker, found.troubles)
        sys.stdout.write(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _print(found)
    return Exit.FAILED if found.troubles else Exit.OK


def _monitoring(installation: Installation, wanted: str | None) -> PluginExit:
    try:
        broker = queues.view(installation.settings, installation.broker_place)
        found = Status(_conditions(installation, wanted), broker)
    except EntraSmsError as error:
        code, line = status_monitoring.of_error(error)
        output.say(line)
        return code
    output.say(status_monitoring.line(found.conditions, broker, found.troubles))
    return status_monitoring.verdict(found.troubles)


def _conditions(installation: Installation, wanted: str | None) -> list[Condition]:
    database = installation.database
    with database.read() as connection:
        found = tenants.find(connection, "*") if wanted is None else [one_tenant(connection, wanted)]
        ids = [tenant.tenant_id for tenant in found]
        sizes, memberships = overview.sizes_of(connection, ids), overview.memberships_of(connection, ids)
        now = database.now(connection)
        return condition.of(connection, found, now, installation.settings, sizes=sizes, memberships=memberships)


def _print(found: Status) -> None:
    conditions = found.conditions
    if not conditions:
        output.note(NO_TENANT_YET)
    elif len(conditions) > BLOCKS:
        status_table.show(conditions)
        output.say()
    else:
        for one in conditions:
            status_block.show(one)
            output.say()
    _print_broker(found.broker)
    output.say()
    if not found.troubles:
        output.item(output.tick(works=True), "All is well.")
    for trouble in summed_up(found.troubles):
        output.item(output.tick(works=False), trouble.sentence)


def _print_broker(broker: Broker) -> None:
    for line in queue_words.lines(broker):
        output.say(line)
