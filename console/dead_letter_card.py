"""Dead letters as they are shown: a line each, one with everything, and to programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from common.broker.dead_letter import COUNTS, DeadLetter, Giver, text
from common.broker.outgoing import REPLAYS_HEADER
from common.clock import to_text
from common.messages import LifecycleNotice, SyncRequest
from console import dead_letter_words as words
from console import output, times

NAME_LENGTHS = (8, 13, 18, 23, 36)
"""Where the groups of a GUID end."""

OUR_FIELDS = frozenset(
    [one.name for kind in (SyncRequest, LifecycleNotice) for one in fields(kind)]
    + ["command", "tenant", "stream", "hold", "up_to"]
)
ITEMS_SHOWN = 10


def names(letters: Iterable[DeadLetter]) -> dict[str, str]:
    """Return the names of letters by their ids: as much of the beginning as tells them apart, at least 8 letters."""
    ids = {letter.letter_id for letter in letters}
    length = next(length for length in NAME_LENGTHS if len({one[:length] for one in ids}) == len(ids))
    return {one: one[:length] for one in ids}


def show_list(
    letters: Sequence[DeadLetter], named: Mapping[str, str], now: datetime, *, console: Console | None = None
) -> None:
    """Print a line for each letter."""
    rows = [
        (
            named[letter.letter_id],
            times.ago(letter.since, now) if letter.since is not None else None,
            words.origin(letter),
            words.what(letter),
            words.why(letter),
        )
        for letter in letters
    ]
    output.table(("MESSAGE", "SINCE", "FROM", "WHAT", "WHY"), rows, whole=("MESSAGE", "SINCE", "FROM"), console=console)


def facts_of(letter: DeadLetter, now: datetime) -> list[tuple[str, str | Text]]:
    """Return all that is known of a letter, as names and values."""
    since = f"{times.moment(letter.since)}, {times.ago(letter.since, now)}" if letter.since is not None else ""
    return [
        ("Message", Text(letter.letter_id, "bold")),
        *([("Message id", output.shown(letter.message_id))] if letter.message_id != letter.letter_id else []),
        ("Since", since),
        ("What", output.shown(words.what(letter))),
        ("From", output.shown(letter.origin)),
        ("Why", output.shown(words.why(letter))),
        ("Put there by", words.GIVERS[letter.giver]),
        ("Sent by", output.shown(text(letter.properties.app_id))),
        ("Type", output.shown(letter.type)),
        ("Replayed", output.plural(letter.replays, "time") if letter.replays else "never"),
        ("On replay", words.replay(letter)),
        ("Headers", "\n".join(_headers_in_words(letter))),
        ("Body", _body_in_words(letter)),
    ]


def as_json(letter: DeadLetter) -> dict[str, Any]:
    """Return what a list has of a letter, for programs. Names of fields are kept."""
    return {
        "message": letter.letter_id,
        "message_id": letter.message_id or None,
        "since": to_text(letter.since) if letter.since is not None else None,
        "from": letter.origin or None,
        "what": words.what(letter) or None,
        "type": letter.type or None,
        "put_there_by": letter.giver,
        "reason": letter.reason or None,
        "error": letter.error or None,
        "replays": letter.replays,
        "refused": words.refusal(letter, force=False),
    }


def whole_as_json(letter: DeadLetter) -> dict[str, Any]:
    """Return everything for programs; `body` is null when it is no message of ours."""
    return as_json(letter) | {
        "on_replay": words.replay(letter),
        "headers": _plain(letter.headers),
        "body_bytes": len(letter.body),
        "body": our_body(letter),
    }


def our_body(letter: DeadLetter) -> dict[str, Any] | None:
    """Return the body if it is JSON with fields of our messages, which hold ids; what others wrote may be anything."""
    try:
        found = json.loads(letter.body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.keys() <= OUR_FIELDS else None


def _headers_in_words(letter: DeadLetter) -> list[str]:
    """Return a line for each header but for those that other facts tell, and for the counts of looks."""
    told = {*COUNTS, "x-origin-queue", "x-error", REPLAYS_HEADER}
    if letter.giver is Giver.WORKER:
        told.add("x-reason")  # otherwise it is the reason of the request itself
    return [f"{output.shown(name)}: {_one_line(value)}" for name, value in letter.headers.items() if name not in told]


def _one_line(value: Any) -> str:
    plain = _plain(value)
    return output.shown(plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False))


def _body_in_words(letter: DeadLetter) -> str:
    found = our_body(letter)
    if found is None:
        size = output.plural(len(letter.body), "byte")
        return f"{size}, no message of ours: it is shown in RabbitMQ's management pages only"
    return json.dumps({name: _shortened(value) for name, value in found.items()}, indent=2, ensure_ascii=False)


def _shortened(value: Any) -> Any:
    if isinstance(value, list) and len(value) > ITEMS_SHOWN:
        return [*value[:ITEMS_SHOWN], f"and {output.number(len(value) - ITEMS_SHOWN)} more: --json shows them"]
    return value


def _plain(value: Any) -> Any:
    """Return a header's value as JSON has it."""
    if isinstance(value, Mapping):
        return {text(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    return value if isinstance(value, str | bool | float | None) else text(value)
