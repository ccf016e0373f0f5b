"""A tenant goes: it is paused, its subscriptions at Graph are deleted, then everything of it is erased here.

In this order a worker that is in the middle of something finds the tenant paused, and later gone: it commits nothing
more, and deletes itself what it was about to make at Graph.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from common.db import erasure, tenants
from common.db.tenants import Tenant
from common.errors import EntraSmsError, SettingsError
from common.graph.answers import GraphNotFoundError
from common.graph.client import GraphClient
from console import output, times
from console.choice import typed
from console.connection import Installation
from console.exits import ConsoleError, Exit
from console.output import plural
from console.reads import overview
from console.reads.overview import SubscriptionRow

BEING_REMOVED = "it is being removed"
"""The reason of the pause; it is seen when a removal was broken off."""
NAMED = ("contacts", "groups", "memberships", "changes", "rounds", "holds", "results", "subscriptions")
"""The tables that are spoken of; the others are of no interest to anybody."""


@dataclass(frozen=True)
class Known:
    """Which subscriptions are the tenant's: by id, and by the address they call."""

    ids: frozenset[str]
    public_url: str

    def includes(self, subscription_id: str, notification_url: str) -> bool:
        ours = bool(self.public_url) and f"{notification_url}/".startswith(f"{self.public_url}/")
        return ours or subscription_id in self.ids


def refuse_without_erase(tenant: Tenant) -> ConsoleError:
    """Return what is said to somebody who did not say what is to become of the address book."""
    pause, remove = f"entra-sms tenants pause {typed(tenant)}", f"entra-sms tenants remove {typed(tenant)} --erase"
    return ConsoleError(
        f"To remove {output.shown(tenant.name)} is to erase it, and that has to be said. Choose one:\n"
        f"  {pause.ljust(len(remove))}  reads nothing any more, and keeps the book\n"
        f"  {remove}  erases everything that was read from it",
        Exit.USAGE,
    )


def remove(installation: Installation, tenant: Tenant, *, may_ask: bool) -> None:
    """Remove `tenant`; a person confirms it first when `may_ask`.

    Raises:
        ConsoleError: it was not confirmed, or Graph cannot be reached and nobody said to go on; nothing was erased.
    """
    if may_ask:
        _confirm(installation, tenant)
    was_paused = _pause(installation, tenant)
    subscriptions = _subscriptions(installation, tenant)
    try:
        delete_subscriptions(installation.graph_of(tenant), _known(installation, subscriptions))
        graph_answers = True
    except EntraSmsError as error:
        graph_answers = False
        _tell_that_graph_is_away(error, subscriptions)
        if may_ask and not click.confirm("Erase the tenant all the same?", default=False, err=True):
            if not was_paused:
                _resume(installation, tenant)
            raise ConsoleError("Nothing was erased.", Exit.UNREACHABLE) from None
    subscriptions = [*subscriptions, *_subscriptions(installation, tenant)]
    with installation.database.write() as connection:
        erased = erasure.erase(connection, tenant.tenant_id)
    output.say(f"Erased {output.shown(tenant.name)}: {in_words(erased)}.")
    if graph_answers:
        _look_once_more(installation, tenant, subscriptions)


def in_words(erased: Mapping[str, int]) -> str:
    """Return what was erased, without what there was none of."""
    counts = [plural(erased[name], name.removesuffix("s")) for name in NAMED if erased.get(name)]
    return ", ".join([*counts, "the credential and all settings"])


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


def _confirm(installation: Installation, tenant: Tenant) -> None:
    name = output.shown(tenant.name)
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to confirm this; --yes says that it is meant.")
    with installation.database.read() as connection:
        size = overview.size_of(connection, tenant.tenant_id)
        edges = overview.memberships_of(connection, [tenant.tenant_id]).get(tenant.tenant_id, 0)
    book = f"{plural(size.people, 'contact')}, {plural(size.groups, 'group')}, {plural(edges, 'membership')}"
    output.note(f"This disconnects {name} and erases {book} and their history. The directory itself is not changed.")
    answer = click.prompt(f"Type the name of the tenant ({name}) to go on", default="", show_default=False, err=True)
    if answer.strip().casefold() != tenant.name.casefold():
        raise ConsoleError("That is not its name. Nothing was erased.")


def _pause(installation: Installation, tenant: Tenant) -> bool:
    """Fence off the workers; tell whether the tenant was paused before."""
    with installation.database.write() as connection:
        now = installation.database.now(connection)
        return not tenants.pause(connection, tenant.tenant_id, BEING_REMOVED, now)


def _resume(installation: Installation, tenant: Tenant) -> None:
    with installation.database.write() as connection:
        tenants.resume(connection, tenant.tenant_id, installation.database.now(connection))


def _subscriptions(installation: Installation, tenant: Tenant) -> list[SubscriptionRow]:
    with installation.database.read() as connection:
        return overview.subscriptions_of(connection, tenant.tenant_id)


def _known(installation: Installation, subscriptions: Sequence[SubscriptionRow]) -> Known:
    return Known(frozenset(row.subscription_id for row in subscriptions), installation.settings.public_url)


def _tell_that_graph_is_away(error: EntraSmsError, subscriptions: Sequence[SubscriptionRow]) -> None:
    output.warn(f"The subscriptions at Graph could not be deleted. {error}")
    if isinstance(error, SettingsError):
        output.note("The tenant's secret cannot be read here, so Graph cannot be asked.")
    if subscriptions:
        last = max(row.expires_at for row in subscriptions)
        output.note(f"They expire by themselves by {times.moment(last)}; till then, notifications come to nothing.")


def _look_once_more(installation: Installation, tenant: Tenant, subscriptions: Sequence[SubscriptionRow]) -> None:
    """Delete what a worker made between the first look and the end, and say that nothing is left."""
    try:
        delete_subscriptions(installation.graph_of(tenant), _known(installation, subscriptions))
    except EntraSmsError as error:
        output.warn(f"Its subscriptions at Graph were deleted, but that could not be looked at once more. {error}")
        return
    output.say("No subscription of it is left at Graph.")
