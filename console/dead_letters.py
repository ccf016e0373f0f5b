"""`entra-sms dead-letters`: messages that could not be done, and what to do about them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import orjson

from common.broker import dead_letters
from common.broker.dead_letter import DeadLetter
from common.broker.dead_letters import Hand, InOtherHandsError
from common.clock import utc_now
from common.errors import BrokerUnavailableError
from console import dead_letter_card, dead_letter_words, output
from console.connection import Installation
from console.dead_letter_choice import EMPTY, chosen, confirm, one, which_options
from console.exits import ConsoleError, Exit
from console.listing import limit_option, say_that_there_is_more

Deed = Callable[[Hand, int], None]


@click.group("dead-letters")
def command() -> None:
    """Look at messages that could not be done, and replay or drop them.

    A message that cannot be carried out, or that failed again and again, is kept among the dead letters. MESSAGE is
    the beginning of its id, as `dead-letters list` shows it.

    Example: entra-sms dead-letters list
    """


@command.command("list", short_help="List them, oldest first.")
@limit_option
@click.option("--json", "as_json", is_flag=True, help="Write all of them as JSON, for programs.")
@click.pass_obj
def list_(installation: Installation, /, *, limit: int, as_json: bool) -> None:
    """List the dead letters: since when, from which queue, what failed and why.

    Nothing is taken away, and their order stays.

    Example: entra-sms dead-letters list --limit 20
    """
    letters, total = _look(installation)
    if as_json:
        _write([dead_letter_card.as_json(letter) for letter in letters])
        return
    if not letters:
        output.note(EMPTY)
        return
    shown = letters[:limit]
    dead_letter_card.show_list(shown, dead_letter_card.names(letters), utc_now())
    say_that_there_is_more(len(shown), total, "dead letters", "entra-sms dead-letters list --json")


@command.command(short_help="Show all of one, and what a replay would do.")
@click.argument("wanted", metavar="MESSAGE")
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON, for programs.")
@click.pass_obj
def show(installation: Installation, /, *, wanted: str, as_json: bool) -> None:
    """Show everything about a dead letter: why it failed, its headers and body, and what a replay would do.

    Example: entra-sms dead-letters show 6c2dbcd2
    """
    letters, _ = _look(installation)
    letter = one(letters, wanted)
    if as_json:
        _write(dead_letter_card.whole_as_json(letter))
        return
    name = dead_letter_card.names(letters)[letter.letter_id]
    output.facts(dead_letter_card.facts_of(letter, utc_now()))
    output.note()
    if dead_letter_words.refusal(letter, force=True) is None:
        by_force = " --force" if dead_letter_words.refusal(letter, force=False) else ""
        output.note(f"To do it again:  entra-sms dead-letters replay {name}{by_force}")
    output.note(f"To forget it:    entra-sms dead-letters drop {name}")


@command.command(short_help="Put them back where they failed.")
@which_options
@click.option("--force", is_flag=True, help="Also what was replayed three times already.")
@click.pass_obj
def replay(installation: Installation, /, *, wanted: Sequence[str], everything: bool, yes: bool, force: bool) -> Exit:
    """Put messages back into the queue in which they failed, for a worker to try them again.

    A message leaves the dead letters when it is safely back in its queue. What can never be carried out stays, and so
    does what was replayed three times already, unless you --force it.

    Example: entra-sms dead-letters replay 6c2dbcd2 --yes
    """
    letters, _ = _look(installation)
    meant = chosen(letters, wanted, everything=everything)
    if not meant:
        output.note(EMPTY)
        return Exit.OK
    named = dead_letter_card.names(letters)
    refused = 0
    for letter in meant:
        why_not = dead_letter_words.refusal(letter, force=force)
        if why_not is not None:
            refused += 1
            output.note(f"Not replayed: {named[letter.letter_id]}. {output.shown(why_not)}")
    possible = [letter for letter in meant if dead_letter_words.refusal(letter, force=force) is None]
    if not possible:
        return Exit.FAILED
    confirm(possible, named, f"Replay {output.plural(len(possible), 'message')}?", may_ask=not yes)
    ended = _carry_out(installation, possible, named, "Replayed", Hand.replay)
    return Exit.FAILED if refused else ended


@command.command(short_help="Remove them for good.")
@which_options
@click.pass_obj
def drop(installation: Installation, /, *, wanted: Sequence[str], everything: bool, yes: bool) -> Exit:
    """Remove messages for good, and say which they were.

    No change of the directory is lost with them: every stream is read again at the next poll. A command is not carried
    out.

    Example: entra-sms dead-letters drop 6c2dbcd2
    """
    letters, _ = _look(installation)
    meant = chosen(letters, wanted, everything=everything)
    if not meant:
        output.note(EMPTY)
        return Exit.OK
    named = dead_letter_card.names(letters)
    confirm(meant, named, f"Drop {output.plural(len(meant), 'message')} for good?", may_ask=not yes)
    return _carry_out(installation, meant, named, "Dropped", Hand.drop)


def _look(installation: Installation) -> tuple[list[DeadLetter], int]:
    """Return the dead letters, oldest first, and how many there are."""
    with _held(installation) as hand:
        return list(hand.letters.values()), hand.total


def _carry_out(
    installation: Installation, meant: Sequence[DeadLetter], named: dict[str, str], done_word: str, deed: Deed
) -> Exit:
    """Do it to those of `meant` that are still there, and say of each that it is done."""
    missing = {_key(letter) for letter in meant}
    keys = frozenset(missing)
    done = 0
    with _held(installation) as hand:
        for tag, letter in list(hand.letters.items()):
            if _key(letter) in keys:
                deed(hand, tag)
                done += 1
                missing.discard(_key(letter))
                output.say(f"{done_word} {dead_letter_words.name_and_kind(letter, named[letter.letter_id])}")
    for letter_id, _ in sorted(missing):
        output.note(f"{named[letter_id]} is no longer there: somebody else has replayed or dropped it.")
    if done > 1:
        output.say(f"{done_word} {output.plural(done, 'message')}.")
    return Exit.FAILED if missing else Exit.OK


@contextmanager
def _held(installation: Installation) -> Iterator[Hand]:
    """Have the dead letters in hand; a trouble says where the broker was looked for."""
    try:
        with dead_letters.held(installation.settings, "console") as hand:
            yield hand
    except InOtherHandsError as error:
        raise ConsoleError(str(error)) from None
    except BrokerUnavailableError as error:
        raise BrokerUnavailableError(f"{error} {installation.broker_place}") from None


def _key(letter: DeadLetter) -> tuple[str, int]:
    """Return what tells a letter from itself: one that was replayed since and failed again is another."""
    return letter.letter_id, letter.replays


def _write(body: Any) -> None:
    sys.stdout.write(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n")
