"""Which tenant is meant by what a person typed; ``--tenant`` may be left out where there is only one."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import click
from sqlalchemy import Connection

from common.db import tenants
from common.db.tenants import Tenant
from console.exits import ConsoleError, Exit
from console.output import shown

Command = TypeVar("Command", bound=Callable[..., Any])

NO_TENANT_YET = "There is no tenant yet. Connect the first directory with: entra-sms tenants add"


def tenant_option(command: Command) -> Command:
    """Add ``--tenant`` to a command."""
    return click.option(
        "--tenant", metavar="TENANT", help="Its name, domain or id; may be left out when there is only one."
    )(command)


def one_tenant(connection: Connection, wanted: str | None) -> Tenant:
    """Return the tenant that is meant.

    Raises:
        ConsoleError: none or several are; the text names those there are, or the nearest.
    """
    if wanted is None:
        return _only(tenants.find(connection, "*"))
    found = [] if wanted.strip() == "*" else tenants.find(connection, wanted)
    if len(found) == 1:
        return found[0]
    if found:
        raise ConsoleError(f"Several tenants are called {wanted!r}. Give one of the ids:\n{_listed(found)}", Exit.USAGE)
    raise _unknown(wanted, tenants.find(connection, "*"))


def some_tenants(connection: Connection, wanted: str | None) -> Sequence[Tenant]:
    """Return the tenant that is meant, or all of them for ``*``; never nothing."""
    if wanted is None or wanted.strip() != "*":
        return [one_tenant(connection, wanted)]
    found = tenants.find(connection, "*")
    if not found:
        raise ConsoleError(NO_TENANT_YET)
    return found


def typed(tenant: Tenant) -> str:
    """Return the name of `tenant` as it is typed in a shell."""
    return shlex.quote(shown(tenant.name))


def nearest(wanted: str, names: Iterable[str | None]) -> str:
    """Return a sentence that offers the nearest of `names`, or nothing."""
    by_folded = {name.casefold(): name for name in names if name}
    match = get_close_matches(wanted.casefold(), by_folded, n=1)
    return f" Did you mean {by_folded[match[0]]!r}?" if match else ""


def _only(found: Sequence[Tenant]) -> Tenant:
    if not found:
        raise ConsoleError(NO_TENANT_YET)
    if len(found) > 1:
        raise ConsoleError(f"There are several tenants: say which one you mean.\n{_listed(found)}", Exit.USAGE)
    return found[0]


def _unknown(wanted: str, known: Sequence[Tenant]) -> ConsoleError:
    if not known:
        return ConsoleError(NO_TENANT_YET)
    names = [name for tenant in known for name in (tenant.name, tenant.domain, tenant.tenant_id)]
    offer = nearest(wanted, names) or f" These are known:\n{_listed(known)}"
    return ConsoleError(f"No tenant is called {wanted!r}.{offer}")


def _listed(found: Sequence[Tenant]) -> str:
    lines = [f"  {tenant.name} ({tenant.domain or 'no domain'}), {tenant.tenant_id}" for tenant in found[:20]]
    more = [f"  and {len(found) - 20} more: entra-sms tenants list"] if len(found) > 20 else []
    return "\n".join(lines + more)
