"""Which dead letters are meant by what a person typed, and whether it is really meant."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from common.broker.dead_letter import DeadLetter
from common.clock import utc_now
from console import dead_letter_card, output
from console.exits import ConsoleError, Exit

Command = TypeVar("Command", bound=Callable[..., Any])

EMPTY = "There are no dead letters."
SHORTEST = 4
LINES_SHOWN = 10


def which_options(command: Command) -> Command:
    """Add ``MESSAGE...``, ``--all`` and ``--yes`` to a command that changes something."""
    command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    command = click.option("--all", "everything", is_flag=True, help="All that are there now.")(command)
    return click.argument("wanted", metavar="[MESSAGE]...", nargs=-1)(command)


def chosen(letters: Sequence[DeadLetter], wanted: Sequence[str], *, everything: bool) -> list[DeadLetter]:
    """Return the letters that are meant, in the order of the queue.

    Raises:
        ConsoleError: a name means none, or several.
        click.UsageError: nothing was named, or something beside ``--all``.
    """
    if bool(wanted) == everything:
        raise click.UsageError("Name the messages, as `entra-sms dead-letters list` does, or say --all.")
    if everything:
        return list(letters)
    ids = {one(letters, name).letter_id for name in wanted}
    return [letter for letter in letters if letter.letter_id in ids]


def one(letters: Sequence[DeadLetter], wanted: str) -> DeadLetter:
    """Return the letter whose name begins as `wanted` does.

    Raises:
        ConsoleError: there is none, or there are several: they are named.
    """
    beginning = wanted.strip().lower()
    if len(beginning) < SHORTEST:
        raise click.UsageError(f"{wanted!r}: a message is named by at least {SHORTEST} letters of its beginning.")
    found = {letter.letter_id: letter for letter in letters if letter.letter_id.startswith(beginning)}
    if not found:
        offer = "Those there are: entra-sms dead-letters list" if letters else EMPTY
        raise ConsoleError(f"No dead letter is called {wanted!r}. {offer}")
    if len(found) > 1:
        listed = "\n".join(f"  {letter_id}" for letter_id in list(found)[:LINES_SHOWN])
        raise ConsoleError(f"Several dead letters are called {wanted!r}. Say more of it:\n{listed}", Exit.USAGE)
    return next(iter(found.values()))


def confirm(letters: Sequence[DeadLetter], named: dict[str, str], question: str, *, may_ask: bool) -> None:
    """Show the letters and let a person confirm that they are meant, when `may_ask`.

    Raises:
        ConsoleError: they are not.
        click.UsageError: nobody is there to be asked.
    """
    if not may_ask:
        return
    dead_letter_card.show_list(letters[:LINES_SHOWN], named, utc_now(), console=output.stderr())
    if len(letters) > LINES_SHOWN:
        output.note(f"and {output.number(len(letters) - LINES_SHOWN)} more")
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to confirm this; --yes says that it is meant.")
    if not click.confirm(question, default=False, err=True):
        raise ConsoleError("Nothing was done.")
