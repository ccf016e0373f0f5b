"""A tenant goes: its subscriptions at Graph are deleted, then everything of it is erased here."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from common.db import tenants
from common.db.tenants import Tenant
from common.errors import EntraSmsError, SettingsError
from common.graph.answers import GraphNotFoundError
from common.graph.client import GraphClient
from console import output, times
from console.connection import Installation
from console.exits import ConsoleError, Exit
from console.reads import overview


@dataclass(frozen=True)
class Known:
    """Which subscriptions are the tenant's: by id, and by the address they call."""

    ids: frozenset[str]
    public_url: str

    def includes(self, subscription_id: str, notification_url: str) -> bool:
        ours = bool(self.public_url) and f"{notification_url}/".startswith(f"{self.public_url}/")
        return ours or subscription_id in self.ids


def remove(installation: Installation, tenant: Tenant, *, may_ask: bool) -> None:
    """Remove `tenant`; a person confirms it first when `may_ask`.

    Raises:
        ConsoleError: it was not confirmed, or Graph cannot be reached and nobody said to go on; nothing was erased.
    """
    with installation.database.read() as connection:
        size = overview.size_of(connection, tenant.tenant_id)
        subscriptions = overview.subscriptions_of(connection, tenant.tenant_id)
    if may_ask:
        _confirm(tenant, size)
    known = Known(frozenset(row.subscription_id for row in subscriptions), installation.settings.public_url)
    try:
        deleted = delete_subscriptions(installation.graph_of(tenant), known)
    except EntraSmsError as error:
        deleted = 0
        _go_on_without_graph(error, subscriptions, may_ask=may_ask)
    with installation.database.write() as connection:
        size = overview.size_of(connection, tenant.tenant_id)
        tenants.remove(connection, tenant.tenant_id)
    output.say(f"Erased {output.shown(tenant.name)}: {size.in_words()}.")
    if deleted:
        output.say(f"Deleted at Graph: {output.plural(deleted, 'subscription')}.")


def _confirm(tenant: Tenant, size: overview.Size) -> None:
    name = output.shown(tenant.name)
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to confirm this; --yes says that it is meant.")
    output.note(f"This disconnects {name} and erases {size.in_words()}. The directory itself is not changed.")
    answer = click.prompt(f"Type the name of the tenant ({name}) to go on", default="", show_default=False, err=True)
    if answer.strip().casefold() != tenant.name.casefold():
        raise ConsoleError("That is not its name. Nothing was erased.")


def delete_subscriptions(client: GraphClient, known: Known) -> int:
    """Delete the subscriptions that are known; return how many there were."""
    deleted = 0
    for subscription in client.subscriptions():
        if known.includes(subscription.subscription_id, subscription.notification_url):
            try:
                client.delete_subscription(subscription.subscription_id)
            except GraphNotFoundError:
                continue  # somebody else deleted it, or it expired
            deleted += 1
    return deleted


def _go_on_without_graph(error: EntraSmsError, subscriptions: list[overview.SubscriptionRow], *, may_ask: bool) -> None:
    output.warn(f"The subscriptions at Graph could not be deleted. {error}")
    if isinstance(error, SettingsError):
        output.note("The tenant's secret cannot be read here, so Graph cannot be asked.")
    if subscriptions:
        last = max(row.expires_at for row in subscriptions)
        output.note(f"They expire by themselves by {times.moment(last)}; till then, notifications come to nothing.")
    if may_ask and not click.confirm("Erase the tenant all the same?", default=False, err=True):
        raise ConsoleError("Nothing was erased.", Exit.UNREACHABLE)
