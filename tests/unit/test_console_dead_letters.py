"""How dead letters are read and spoken of, of every kind that there is."""

from dataclasses import replace
from typing import Any

import pika
import pytest

from common import messages, topology
from common.broker import dead_letter, outgoing
from common.broker.dead_letter import DeadLetter, Giver
from common.commands import EXAMPLES, Verb, example
from common.messages import LifecycleEvent, LifecycleNotice, Mode, Stream
from console import dead_letter_card
from console import dead_letter_words as words
from tests.support.deliveries import NOON, TENANT, request


def letter(queue: str, body: bytes, **changed: Any) -> DeadLetter:
    """What the worker laid down."""
    found = outgoing.dead_letter(body, queue=queue, message_type="type", reason="defect", error="KeyError", **changed)
    properties = pika.BasicProperties(
        message_id=found.message_id, type=found.type, headers=dict(found.headers), timestamp=int(NOON.timestamp())
    )
    return dead_letter.read(properties, found.body)


@pytest.mark.parametrize("verb", Verb)
def test_every_command_is_told(verb: Verb) -> None:
    found = letter(topology.COMMANDS, example(verb).encode())

    assert words.what(found) == verb
    assert words.replay(found).startswith(f"It goes back to sync.commands, and a worker {words.TASKS[verb]}: ")
    assert words.replay(found).endswith(" It may meet the same defect again.")


def test_what_a_command_is_about_is_told() -> None:
    told = {verb: words.replay(letter(topology.COMMANDS, example(verb).encode())) for verb in Verb}

    assert ": hold 3 of tenant contoso.com." in told[Verb.APPROVE_REMOVALS]
    assert ": users and groups of tenant contoso.com." in told[Verb.FULL_RESYNC]
    assert f": {EXAMPLES[Verb.RESYNC_OBJECT]['object']} of tenant contoso.com." in told[Verb.RESYNC_OBJECT]
    assert ": all tenants." in told[Verb.REPLAY_DEAD_LETTERS]


@pytest.mark.parametrize("event", LifecycleEvent)
def test_every_notice_is_told(event: LifecycleEvent) -> None:
    found = letter(topology.LIFECYCLE, messages.encode(LifecycleNotice(TENANT, Stream.USERS, event, TENANT, NOON)))

    assert words.what(found) == event
    assert f": users of tenant {TENANT}." in words.replay(found)
    assert dead_letter_card.our_body(found) is not None


@pytest.mark.parametrize(("mode", "deed"), [(Mode.FULL, "reads everything anew"), (Mode.INCREMENTAL, "reads what has")])
def test_every_request_is_told(mode: Mode, deed: str) -> None:
    found = letter(topology.REQUESTS, messages.encode(request(mode=mode)))

    assert words.what(found) == "users"
    assert deed in words.replay(found)
    assert dead_letter_card.our_body(found) is not None


def test_what_the_worker_laid_down_tells_where_why_and_when() -> None:
    found = letter(topology.COMMANDS, b"{", replays=2)

    assert (found.giver, found.origin, found.reason, found.error) == (
        Giver.WORKER,
        topology.COMMANDS,
        "defect",
        "KeyError",
    )
    assert (found.since, found.replays) == (NOON, 2)


def test_names_are_as_long_as_it_takes_to_tell_letters_apart() -> None:
    ids = ["6c2dbcd2-db86-40c5-9149-be1d1262164c", "6c2dbcd2-db86-40c5-1111-be1d1262164c"]
    first, second = (letter(topology.COMMANDS, b"{}", message_id=one) for one in ids)

    assert list(dead_letter_card.names([first, replace(first)]).values()) == ["6c2dbcd2"]
    assert dead_letter_card.names([first, second]) == {one: one[:23] for one in ids}
    assert dead_letter_card.names([]) == {}


def test_a_time_that_is_none_is_no_error() -> None:
    for timestamp in (2**62, None):
        properties = pika.BasicProperties(timestamp=timestamp, headers={"x-origin-queue": topology.COMMANDS})
        assert dead_letter.read(properties, b"").since is None
