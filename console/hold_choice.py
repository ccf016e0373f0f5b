"""Which hold is meant by what a person typed; its number may be left out where only one is open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click
from sqlalchemy import Connection

from console import hold_card, hold_words, output, times
from console.choice import one_tenant
from console.exits import ConsoleError, Exit
from console.output import shown
from console.reads import holds
from console.reads.holds import Hold

Command = TypeVar("Command", bound=Callable[..., Any])

NOTHING = "Nothing is held."
HIGHEST = 2**31 - 1


def of_tenant_option(command: Command) -> Command:
    """Add ``--tenant`` to a command about holds, whose numbers are no tenant's own."""
    return click.option("--tenant", metavar="TENANT", help="Only what is held of this one: its name, domain or id.")(
        command
    )


def hold_argument(command: Command) -> Command:
    """Add ``HOLD``, which may be left out, to a command."""
    return click.argument("hold", type=click.IntRange(1, HIGHEST), required=False)(command)


def one_hold(connection: Connection, wanted: int | None, tenant: str | None, now: datetime) -> Hold:
    """Return the hold with the number `wanted`, open or ended, or the only one that is open.

    Raises:
        ConsoleError: there is no such hold, it is another tenant's, or several are open: they are listed.
    """
    owner = one_tenant(connection, tenant) if tenant is not None else None
    if wanted is None:
        return _only(holds.open_holds(connection, [owner.tenant_id] if owner else None), now)
    found = holds.get(connection, wanted)
    if found is None:
        raise ConsoleError(f"There is no hold {wanted}. Those there were: entra-sms holds list --all")
    if owner is not None and owner.tenant_id != found.tenant_id:
        raise ConsoleError(f"Hold {wanted} is not of {shown(owner.name)} but of {shown(found.tenant_name)}.")
    return found


def one_open_hold(connection: Connection, wanted: int | None, tenant: str | None, now: datetime) -> Hold:
    """Return the same, if it still waits for a decision.

    Raises:
        ConsoleError: as above, or it has ended.
    """
    found = one_hold(connection, wanted, tenant, now)
    if found.ended_at is not None:
        raise ConsoleError(
            f"Hold {found.hold_id} has ended already, {times.moment(found.ended_at)}: {hold_words.outcome(found)}."
        )
    return found


def _only(found: list[Hold], now: datetime) -> Hold:
    if not found:
        raise ConsoleError(NOTHING)
    if len(found) > 1:
        hold_card.show_list(found, now, console=output.stderr())
        raise ConsoleError("Several are open: say which one you mean, by its number under HOLD.", Exit.USAGE)
    return found[0]
