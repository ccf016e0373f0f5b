"""An operator decides about a hold: asks to be sure, puts the command on the queue, sees it through."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import click
from sqlalchemy import Connection

from common.commands import Verb
from common.messages import Stream
from console import hold_words, output
from console.asked import ask
from console.connection import Installation
from console.exits import ConsoleError, Exit
from console.output import number, shown
from console.reads import advance, holds
from console.reads.holds import HeldRemoval, Hold
from console.waiting import Waiting

NAMES_SHOWN = 5


@dataclass(frozen=True)
class Approval:
    """What is about to be approved: so many removals, numbered up to `up_to`, and the first of them."""

    hold: Hold
    up_to: int
    count: int
    some: Sequence[HeldRemoval]


def approval_of(connection: Connection, hold: Hold, up_to: int | None) -> Approval:
    """Return the approval of the removals that are numbered up to `up_to`, or of all that are held now.

    Raises:
        ConsoleError: nobody is held with such a number.
        click.UsageError: the number is higher than any that was ever shown.
    """
    if up_to is not None and up_to > hold.last_number:
        raise click.UsageError(f"--up-to: the last removal that is held has number {hold.last_number}.")
    highest = up_to or hold.last_number
    count = holds.count(connection, hold, highest)
    if not count:
        raise ConsoleError(f"Nobody is held up to no. {highest}. Look again: {hold_words.command('show', hold)}")
    return Approval(hold, highest, count, holds.page(connection, hold, NAMES_SHOWN, up_to=highest))


def confirm(approval: Approval, *, may_ask: bool) -> None:
    """Say who is removed, the first of them by name, and let a person confirm it when `may_ask`.

    Raises:
        ConsoleError: it was not confirmed.
        click.UsageError: nobody is there to be asked.
    """
    hold, count = approval.hold, approval.count
    names = ", ".join(shown(one.name or one.mail or one.object_id) for one in approval.some)
    more = f" and {number(count - len(approval.some))} more" if count > len(approval.some) else ""
    output.note(f"This removes {hold.things(count)} from the address book of {shown(hold.tenant_name)}: {names}{more}.")
    if count < hold.held:
        output.note(f"Another {number(hold.held - count)} with higher numbers are not approved by it.")
    if not may_ask:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to confirm this; --yes says that it is meant.")
    answer = click.prompt(f"To go on, type how many {hold.nouns} are removed", default="", show_default=False, err=True)
    if answer.replace(",", "").strip() != str(count):
        raise ConsoleError("That is not their number. Nobody is removed.")


def decide(
    installation: Installation,
    hold: Hold,
    verb: Verb,
    *,
    up_to: int | None = None,
    wait: bool,
    timeout_seconds: float | None,
) -> Exit:
    """Put the decision on the queue: an approval of the removals up to the number `up_to`, or a rejection.

    Raises:
        ConsoleError: the hold has ended meanwhile, or, with `wait`, it was not carried out.
    """
    with installation.database.read() as connection:
        _refuse_if_vain(hold, verb, "", connection)  # meanwhile somebody may have thought for long
        mark = advance.mark(connection, installation.database.now(connection))
    asked = ask(
        installation,
        verb,
        {"hold": hold.hold_id} | ({"up_to": up_to} if up_to is not None else {}),
        tenant_id=hold.tenant_id,
        tenant_name=hold.tenant_name,
        answered_by=[hold.stream] if verb is Verb.APPROVE_REMOVALS else list(Stream),
    )
    if not wait:
        output.say(f"Queued. See what became of it with: {hold_words.command('show', hold)}   (or add --wait)")
        return Exit.OK
    refuse_if_vain = partial(_refuse_if_vain, hold, verb, asked[0].request_id)
    return Waiting(installation, asked, mark, timeout_seconds, refuse_if_vain=refuse_if_vain).see_through()


def _refuse_if_vain(hold: Hold, verb: Verb, request_id: str, connection: Connection) -> None:
    """Stop waiting for a decision that came too late: the worker has nothing left to decide and answers nobody."""
    found = holds.get(connection, hold.hold_id)
    if found is None or found.ended_at is None:
        return
    if found.decision_request_id == request_id and (verb is Verb.REJECT_REMOVALS or found.outcome == "approved"):
        return
    raise ConsoleError(f"Hold {hold.hold_id} ended before this was carried out: {hold_words.outcome(found)}.")
