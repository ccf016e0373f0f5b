"""`entra-sms status`: whether everything works, on one screen."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import orjson
from rich.text import Text

from common import topology
from common.db import tenants
from common.errors import DatabaseUnavailableError
from console import condition, output, queues, times
from console.choice import NO_TENANT_YET, one_tenant, tenant_option
from console.condition import Condition
from console.connection import Installation
from console.exits import Exit
from console.queues import DELAYED, Broker
from console.status_json import as_json

BLOCKS = 4
"""More tenants than this get a line each."""


@click.command("status")
@tenant_option
@click.option("--json", "as_json_", is_flag=True, help="Write it as JSON, for programs.")
@click.pass_obj
def command(installation: Installation, /, *, tenant: str | None, as_json_: bool) -> Exit:
    """Show whether everything works: each tenant, its streams and subscriptions, the queues.

    The exit code is 0 when all is well and 1 when something needs attention, which is then said at the end.

    Example: entra-sms status
    """
    broker = queues.view(installation.settings, installation.broker_place)
    try:
        conditions = _conditions(installation, tenant)
    except DatabaseUnavailableError as error:
        if not as_json_:
            _print_broker(broker)
        raise error from None
    troubles = [
        *(f"{output.shown(one.tenant.name)}: {trouble}" for one in conditions for trouble in one.troubles),
        *broker.troubles,
    ]
    if as_json_:
        body = as_json(conditions, broker, troubles)
        sys.stdout.write(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _print(conditions, broker, troubles)
    return Exit.FAILED if troubles else Exit.OK


def _conditions(installation: Installation, wanted: str | None) -> list[Condition]:
    database = installation.database
    with database.read() as connection:
        found = tenants.find(connection, "*") if wanted is None else [one_tenant(connection, wanted)]
        return condition.of(connection, found, database.now(connection), installation.settings)


def _print(conditions: Sequence[Condition], broker: Broker, troubles: Sequence[str]) -> None:
    if not conditions:
        output.note(NO_TENANT_YET)
    elif len(conditions) > BLOCKS:
        _print_lines(conditions)
        output.say()
    else:
        for one in conditions:
            _print_block(one)
            output.say()
    _print_broker(broker)
    output.say()
    if not troubles:
        output.say(Text.assemble(output.tick(works=True), " All is well."))
    for trouble in troubles:
        output.say(Text.assemble(output.tick(works=False), f" {trouble}"))


def _print_block(one: Condition) -> None:
    size = one.size
    people = f"{size.people:,}: {size.reachable:,} with a number, {size.without_number:,} without"
    name, domain = output.shown(one.tenant.name), output.shown(one.tenant.domain)
    output.say(Text.assemble((name, "bold"), f"  {domain}  ", state_word(one)))
    output.facts(
        [
            ("  people", f"{people}, {size.invalid_number:,} invalid"),
            ("  groups", f"{size.groups:,} with {output.plural(size.memberships, 'membership')}"),
            *(
                (f"  {part.stream} sync", condition.freshness(part, one.now, total=size.of(part.stream)))
                for part in one.advances
            ),
            ("  subscriptions", _subscriptions(one)),
        ]
    )


def _print_lines(conditions: Sequence[Condition]) -> None:
    rows = []
    for one in conditions:
        good = [part.last_good_at for part in one.advances if part.last_good_at is not None]
        read = times.ago(min(good), one.now) if len(good) == len(one.advances) and good else "not yet"
        size = one.size
        counts = (output.number(size.people), output.number(size.people - size.reachable), output.number(size.groups))
        rows.append((one.tenant.name, *counts, read, state_word(one)))
    headings = ("TENANT", "PEOPLE", "NO NUMBER", "GROUPS", "READ", "STATE")
    output.table(headings, rows, right=("PEOPLE", "NO NUMBER", "GROUPS"))


def state_word(one: Condition) -> Text:
    """Return the state of a tenant in one or two words."""
    if one.tenant.state is not tenants.TenantState.ACTIVE:
        return Text("access failed", "bold red")
    if one.is_only_held:
        return Text("held", "bold red")
    if one.troubles:
        return Text("in trouble", "bold red")
    return Text("throttled by Graph", "yellow") if one.is_throttled else Text("active", "green")


def _subscriptions(one: Condition) -> str:
    if not one.subscriptions:
        return f"none: changes are found by polling, every {one.poll_seconds:g} s"
    return ", ".join(
        f"{row.stream} until {times.moment(row.expires_at)}" if row.expires_at > one.now else f"{row.stream} expired"
        for row in one.subscriptions
    )


def _print_broker(broker: Broker) -> None:
    if broker.trouble is not None:
        output.say(Text.assemble(("RabbitMQ", "bold"), "  ", ("cannot be reached", "bold red")))
        return
    kinds = (
        (broker.messages(topology.REQUESTS), "request"),
        (broker.messages(*DELAYED), "delayed request"),
        (broker.messages(topology.COMMANDS), "command"),
        (broker.messages(topology.LIFECYCLE), "lifecycle event"),
    )
    waiting = ", ".join(output.plural(count, one) for count, one in kinds if count) or "nothing"
    output.say(Text.assemble(("RabbitMQ", "bold"), f"  {output.plural(broker.workers, 'worker')}; waiting: {waiting}"))
    dead = broker.messages(topology.DEAD_LETTERS)
    if dead:
        what = f"{output.plural(dead, 'message')} in {topology.DEAD_LETTERS}"
        output.say(Text(f"  {what}; why: entra-sms dead-letters list", "yellow"))
