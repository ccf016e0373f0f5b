"""`entra-sms dead-letters` with a real broker: nothing is lost, whatever is done, and wherever it is interrupted."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pika
import pytest

from common import messages, topology
from common.broker import dead_letters, outgoing
from common.clock import utc_now
from common.messages import Reason, Stream, SyncRequest
from console.connection import Installation
from tests.support.bench import Bench, settings
from tests.support.book import book, guid
from tests.support.console import ROOT, EntraSms
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, address_of, through
from tests.support.running_worker import Queues, RunningWorker
from tests.support.scripted_graph import page
from tests.support.scripted_worker import a_worker

TENANT = guid("tenant")
FULL_RESYNC = b'{"command": "full_resync", "tenant": "*"}'
ACK = b"\x00\x3c\x00\x50"
"""How the method basic.ack begins on the wire."""


@pytest.fixture
def entra_sms(amqp_url: str) -> EntraSms:
    return EntraSms({"amqp_url": amqp_url})


@pytest.fixture
def dead(amqp_url: str) -> "Dead":
    return Dead(amqp_url)


class Dead(Queues):
    """Makes dead letters, and looks at what is left of them."""

    def __init__(self, amqp_url: str) -> None:
        super().__init__(amqp_url)
        self.amqp_url = amqp_url

    def by_the_worker(
        self,
        name: str,
        body: bytes = FULL_RESYNC,
        *,
        queue: str = topology.COMMANDS,
        reason: str = "defect",
        error: str = "KeyError",
        replays: int = 0,
    ) -> str:
        """Lay down what the worker publishes when it gives a message up; return the message's id."""
        letter = outgoing.dead_letter(
            body,
            queue=queue,
            message_type="command",
            reason=reason,
            error=error,
            message_id=guid(name),
            replays=replays,
        )
        self.put_all(letter)
        return letter.message_id

    def put_all(self, *letters: outgoing.Outgoing) -> None:
        with pika.BlockingConnection(pika.URLParameters(self.amqp_url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for one in letters:
                properties = pika.BasicProperties(
                    message_id=one.message_id, type=one.type, headers=dict(one.headers), timestamp=1_772_439_330
                )
                channel.basic_publish(one.exchange, one.routing_key, one.body, properties)

    def by_rabbitmq(self, body: bytes, *, queue: str = topology.COMMANDS, **properties: Any) -> None:
        """Let a message come back until RabbitMQ gives it up, as it does with one that kills every worker."""
        self.put(queue, body, **properties)
        before = self.count(topology.DEAD_LETTERS)
        with pika.BlockingConnection(pika.URLParameters(self.amqp_url)) as connection:
            channel = connection.channel()
            while (delivery := channel.basic_get(queue))[0] is not None:
                channel.basic_nack(delivery[0].delivery_tag, requeue=True)
        eventually(lambda: self.count(topology.DEAD_LETTERS) == before + 1, what="a dead letter")

    def left(self) -> list[str]:
        """Take all that is left out of the queue; their ids."""
        found = []
        while (message := self.take(topology.DEAD_LETTERS)) is not None:
            found.append(message.message_id or "")
        return found


def listed(entra_sms: EntraSms) -> list[dict[str, Any]]:
    ended = entra_sms("dead-letters", "list", "--json")
    assert ended.code == 0, ended.err
    found: list[dict[str, Any]] = json.loads(ended.out)
    return found


# Looking


@pytest.mark.parametrize("is_declared", [True, False])
def test_an_empty_queue_says_so(entra_sms: EntraSms, amqp_url: str, is_declared: bool) -> None:
    if is_declared:
        Queues(amqp_url)

    for arguments in (["list"], ["replay", "--all", "--yes"], ["drop", "--all", "--yes"]):
        ended = entra_sms("dead-letters", *arguments)
        assert (ended.code, ended.out, ended.words) == (0, "", "There are no dead letters.")
    assert listed(entra_sms) == []


def test_a_list_tells_what_failed_why_and_where(entra_sms: EntraSms, dead: Dead) -> None:
    first = dead.by_the_worker("first", b"{}", reason="unreadable", error='"tenant" is missing.')
    second = dead.by_the_worker("second", queue=topology.COMMANDS)
    request = SyncRequest(TENANT, Stream.GROUPS, Reason.POLL, utc_now())
    third = dead.by_the_worker("third", messages.encode(request), queue=topology.REQUESTS)

    heading, *lines = entra_sms("dead-letters", "list").out.splitlines()

    assert heading.split() == ["MESSAGE", "SINCE", "FROM", "WHAT", "WHY"]
    assert [line.split()[0] for line in lines] == [first[:8], second[:8], third[:8]]
    assert lines[0].endswith('commands  command      "tenant" is missing.')
    assert lines[1].endswith("commands  full_resync  a defect of the worker: KeyError")
    assert lines[2].endswith("requests  groups       a defect of the worker: KeyError")
    assert all("days ago" in line for line in lines)


def test_what_rabbitmq_gave_up_tells_when_and_from_where(entra_sms: EntraSms, dead: Dead) -> None:
    dead.by_rabbitmq(FULL_RESYNC, message_id=guid("command"), headers={"x-reason": "of its own"})

    [letter] = listed(entra_sms)
    shown = entra_sms("dead-letters", "show", letter["message"])

    assert letter["message"] == letter["message_id"] == guid("command")
    assert (letter["put_there_by"], letter["reason"]) == ("rabbitmq", "delivery_limit")
    assert (letter["from"], letter["what"], letter["refused"]) == (topology.COMMANDS, "full_resync", None)
    assert letter["since"][:2] == "20"
    assert "came back more than 20 times without being done" in shown.out
    assert "Put there by  RabbitMQ" in shown.out
    assert '"reason": "delivery_limit", "queue": "sync.commands"' in " ".join(shown.out.split())
    assert "x-reason: of its own" in shown.out
    assert "x-delivery-count" not in shown.out


def test_a_list_fits_a_terminal_of_80_columns(entra_sms: EntraSms, dead: Dead) -> None:
    dead.by_the_worker("first", b"{}", reason="unreadable", error="x" * 200)
    dead.by_the_worker("second", b'{"command": "approve_removals", "tenant": "*", "hold": 1, "up_to": 2}')

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", entra_sms.on_terminal("dead-letters", "list").out)
    lines = shown.splitlines()

    assert len(lines) == 3
    assert max(len(line) for line in lines) <= 80
    assert guid("first")[:8] in lines[1]
    assert "…" in lines[1]


def test_looking_takes_nothing_away_and_keeps_the_order(entra_sms: EntraSms, dead: Dead) -> None:
    ids = [dead.by_the_worker(f"{number}") for number in range(5)]

    for _ in range(3):
        assert [letter["message"] for letter in listed(entra_sms)] == ids
        assert entra_sms("dead-letters", "show", ids[2]).code == 0
    entra_sms("dead-letters", "list", "--limit", "2")

    assert dead.left() == ids


def test_only_a_part_in_hand_leaves_the_order_as_it_was(
    entra_sms: EntraSms, dead: Dead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MOST", 3)
    ids = [dead.by_the_worker(f"{number}") for number in range(5)]

    ended = entra_sms("dead-letters", "list")
    again = listed(entra_sms)

    assert "These are 3 of 5 dead letters." in ended.words
    assert [letter["message"] for letter in again] == ids[:3]
    assert dead.left() == ids


def test_no_number_of_looks_wears_a_letter_out_where_rabbitmq_counts_them(entra_sms: EntraSms, amqp_url: str) -> None:
    limited = {"x-queue-type": "quorum", "x-delivery-limit": 20}  # RabbitMQ 4 has this limit unless told otherwise
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(topology.DEAD_LETTERS, durable=True, arguments=limited)
        connection.channel().queue_declare("copies", durable=True)
        for number in range(3):
            properties = pika.BasicProperties(
                message_id=guid(str(number)),
                timestamp=1_772_439_330,
                headers={"x-origin-queue": topology.COMMANDS, "x-reason": "defect", "CC": ["copies"]},
            )
            connection.channel().basic_publish("", topology.DEAD_LETTERS, FULL_RESYNC, properties)
    first = eventually(lambda: found if len(found := listed(entra_sms)) == 3 else None)

    for _ in range(50):
        assert listed(entra_sms) == first
    assert [letter["message"] for letter in first] == [guid("0"), guid("1"), guid("2")]
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        copies = connection.channel().queue_declare("copies", passive=True).method.message_count
    assert copies == 3  # those that RabbitMQ made when they were put there


def test_two_who_look_at_once_see_all_of_it(entra_sms: EntraSms, dead: Dead, amqp_url: str) -> None:
    ids = [dead.by_the_worker(f"{number}") for number in range(200)]
    seen: list[list[str]] = []

    def look() -> None:
        with dead_letters.held(_installation(amqp_url).settings, "console") as hand:
            seen.append([letter.letter_id for letter in hand.letters.values()])

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [ids] * 6


def test_whoever_lets_go_has_seen_them_back(dead: Dead, amqp_url: str) -> None:
    for number in range(100):
        dead.by_the_worker(f"{number}")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        for _ in range(10):
            hand = dead_letters.Hand(_installation(amqp_url).settings, "console")
            hand.take()
            hand.let_go()
            assert channel.queue_declare(topology.DEAD_LETTERS, passive=True).method.message_count == 100
            hand.close()


def test_whoever_does_not_let_go_is_told_of(
    entra_sms: EntraSms, dead: Dead, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead.by_the_worker("first")
    monkeypatch.setattr(dead_letters, "PATIENCE_SECONDS", 0.3)

    with dead_letters.held(_installation(amqp_url).settings, "console"):
        ended = entra_sms("dead-letters", "list")

    assert (ended.code, ended.out) == (1, "")
    assert "Somebody else has the dead letters in hand just now." in ended.words
    assert len(listed(entra_sms)) == 1


def test_letters_that_somebody_has_taken_out_by_hand_are_not_waited_for(
    entra_sms: EntraSms, dead: Dead, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [dead.by_the_worker(f"{number}") for number in range(3)]
    monkeypatch.setattr(dead_letters, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(dead_letters, "_ready", lambda _channel: 3)  # as counted before somebody took one
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().basic_get(topology.DEAD_LETTERS)
        assert [letter["message"] for letter in listed(entra_sms)] == ids[1:]


def test_nothing_in_a_letter_steers_a_terminal(entra_sms: EntraSms, dead: Dead) -> None:
    evil = "\x1b]0;owned\x07\nsecond line \x9b31m"
    dead.put(
        topology.DEAD_LETTERS,
        json.dumps({"command": evil, "tenant": evil}).encode(),
        message_id=evil,
        type=evil,
        app_id=evil,
        timestamp=2**62,
        headers={"x-origin-queue": topology.COMMANDS, "x-reason": evil, "x-error": evil, evil: [evil], "x-replays": 1},
    )
    dead.put(topology.DEAD_LETTERS, b"\xff\x00", message_id=b"a\xff", type=b"\xfeb", headers={"x-death": "no"})
    dead.put(topology.DEAD_LETTERS, b"[" * 100_000, headers={"x-death": [{"queue": 7, "time": "noon"}]})

    letters = listed(entra_sms)
    texts = [entra_sms("dead-letters", "list").out]
    for letter in letters:
        shown = entra_sms("dead-letters", "show", letter["message"][:8])
        assert (shown.code, entra_sms("dead-letters", "show", letter["message"], "--json").code) == (0, 0)
        texts.append(shown.out)
    replayed = entra_sms("dead-letters", "replay", "--all", "--yes")
    dropped = entra_sms("dead-letters", "drop", "--all", "--yes")

    assert len(letters) == 3
    assert [len(texts[0].splitlines()), replayed.code, dropped.code] == [4, 1, 0]
    for text in (*texts, replayed.out, replayed.err, dropped.out, dropped.err):
        assert not any(letter in text for letter in "\x1b\x07\x9b\x00")
    assert dead.left() == []


def test_the_body_of_a_stranger_is_not_shown(entra_sms: EntraSms, dead: Dead) -> None:
    theirs = dead.by_the_worker("theirs", b'{"displayName": "Anna", "tenant": "x"}', reason="unreadable")
    ours = dead.by_the_worker("ours", b'{"command": "ful_resync", "tenant": "contoso"}', reason="unreadable")

    assert "Anna" not in entra_sms("dead-letters", "show", theirs).out
    assert json.loads(entra_sms("dead-letters", "show", theirs, "--json").out)["body"] is None
    shown = entra_sms("dead-letters", "show", ours)
    assert '"command": "ful_resync"' in shown.out
    assert 'It can never be carried out: "command" must be one of: full_resync' in " ".join(shown.out.split())
    assert "replay" not in shown.err


def test_show_tells_everything(entra_sms: EntraSms, dead: Dead) -> None:
    ids = tuple(guid(str(number)) for number in range(40))
    request = SyncRequest(TENANT, Stream.USERS, Reason.NOTIFICATION, utc_now(), object_ids=ids)
    name = dead.by_the_worker("request", messages.encode(request), queue=topology.REQUESTS)

    shown, as_json = entra_sms("dead-letters", "show", name[:6]), entra_sms("dead-letters", "show", name, "--json")

    words = " ".join(shown.out.split())
    assert f"Message {name}" in words
    assert "Message id" not in words  # the same
    assert f"It goes back to sync.requests, and a worker reads what has changed: users of tenant {TENANT}." in words
    assert "and 30 more: --json shows them" in words
    assert f"entra-sms dead-letters replay {name[:8]}" in shown.err
    body = json.loads(as_json.out)
    assert body["body"]["object_ids"] == list(ids)
    assert body["headers"]["x-origin-queue"] == topology.REQUESTS


def test_a_name_that_means_none_or_several_is_told(entra_sms: EntraSms, dead: Dead) -> None:
    for end in ("1", "2"):
        dead.put(topology.DEAD_LETTERS, b"{}", message_id=f"6c2dbcd2-db86-40c5-9149-be1d1262164{end}")
    none, several = entra_sms("dead-letters", "show", "ffff"), entra_sms("dead-letters", "drop", "6c2dbcd2", "--yes")
    short, nothing = entra_sms("dead-letters", "show", "6"), entra_sms("dead-letters", "drop", "--yes")
    both = entra_sms("dead-letters", "drop", "6c2dbcd2", "--all", "--yes")

    assert (none.code, several.code, short.code, nothing.code, both.code) == (1, 2, 2, 2, 2)
    assert "No dead letter is called 'ffff'." in none.words
    assert "6c2dbcd2-db86-40c5-9149-be1d12621641 6c2dbcd2-db86-40c5-9149-be1d12621642" in several.words
    lines = entra_sms("dead-letters", "list").out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [
        "6c2dbcd2-db86-40c5-9149-be1d12621641",
        "6c2dbcd2-db86-40c5-9149-be1d12621642",
    ]


def test_a_letter_without_an_id_has_the_same_name_each_time(entra_sms: EntraSms, dead: Dead) -> None:
    for body in (b"one", b"two", b"two"):
        dead.put(topology.DEAD_LETTERS, body)

    first, second, third = (letter["message"] for letter in listed(entra_sms))

    assert [letter["message"] for letter in listed(entra_sms)] == [first, second, third]
    assert first != second == third


def test_a_thousand_letters_are_listed_replayed_and_dropped(entra_sms: EntraSms, dead: Dead) -> None:
    dead.put_all(
        *(
            outgoing.dead_letter(
                FULL_RESYNC,
                queue=topology.COMMANDS,
                message_type="command",
                reason="defect",
                error="KeyError",
                message_id=guid(f"{number}"),
            )
            for number in range(1_000)
        )
    )
    ids = [guid(f"{number}") for number in range(1_000)]

    ended = entra_sms("dead-letters", "list")
    assert len(ended.out.splitlines()) == 101
    assert "These are 100 of 1,000 dead letters." in ended.words
    assert [letter["message"] for letter in listed(entra_sms)] == ids
    dropped = entra_sms("dead-letters", "drop", *ids[::2], "--yes")
    assert dropped.out.splitlines()[-1] == "Dropped 500 messages."
    replayed = entra_sms("dead-letters", "replay", "--all", "--yes")
    assert replayed.out.splitlines()[-1] == "Replayed 500 messages."
    assert dead.left() == []
    returned = []
    while (message := dead.take(topology.COMMANDS)) is not None:
        returned.append(message.message_id)
    assert returned == ids[1::2]


# Replaying and dropping


def test_a_replay_is_the_same_message_where_it_failed(entra_sms: EntraSms, dead: Dead) -> None:
    dead.by_rabbitmq(
        FULL_RESYNC,
        message_id=guid("command"),
        type="command",
        app_id="console",
        user_id=None,
        headers={"x-tenant": TENANT, "x-other": "told nobody", "CC": ["sync.lifecycle"]},
    )
    other = dead.by_the_worker("other")
    assert dead.count(topology.LIFECYCLE) == 1  # RabbitMQ obeys CC when a stranger publishes

    ended = entra_sms("dead-letters", "replay", guid("command")[:8], "--yes")

    assert (ended.code, ended.out) == (0, f"Replayed {guid('command')[:8]}: full_resync (sync.commands)\n")
    message = dead.take(topology.COMMANDS)
    assert message is not None
    assert (message.body, message.message_id) == (FULL_RESYNC, guid("command"))
    assert message.headers == {"x-tenant": TENANT, "x-replays": 1, "x-delivery-count": 0}
    assert dead.count(topology.LIFECYCLE) == 1
    assert dead.left() == [other]


def test_what_was_replayed_three_times_is_replayed_by_force_only(entra_sms: EntraSms, dead: Dead) -> None:
    twice = dead.by_the_worker("twice", replays=2)
    thrice = dead.by_the_worker("thrice", replays=3)

    ended = entra_sms("dead-letters", "replay", "--all", "--yes")
    refused = entra_sms("dead-letters", "replay", thrice, "--yes")
    assert f"replay {thrice[:8]} --force\n" in entra_sms("dead-letters", "show", thrice).err

    assert (ended.code, refused.code) == (1, 1)
    assert f"Replayed {twice[:8]}" in ended.out
    assert f"Not replayed: {thrice[:8]}. It was replayed 3 times and failed again each time" in ended.words
    assert [letter["message"] for letter in listed(entra_sms)] == [thrice]
    assert entra_sms("dead-letters", "replay", "--all", "--yes", "--force").code == 0
    replays = [(dead.take(topology.COMMANDS) or pytest.fail("nothing there")).headers["x-replays"] for _ in range(2)]
    assert replays == [3, 4]
    assert dead.left() == []


def test_what_can_never_be_carried_out_stays(entra_sms: EntraSms, dead: Dead) -> None:
    unreadable = dead.by_the_worker("unreadable", b"{", reason="unreadable")
    foreign = dead.by_the_worker("foreign", queue="amq.gen-somebody's")

    ended = entra_sms("dead-letters", "replay", "--all", "--yes", "--force")

    assert (ended.code, ended.out) == (1, "")
    assert f"Not replayed: {unreadable[:8]}. It can never be carried out: The body is not JSON." in ended.words
    assert f"Not replayed: {foreign[:8]}. It can never be carried out: It came from no queue" in ended.words
    assert dead.left() == [unreadable, foreign]


def test_a_drop_removes_what_was_named_and_nothing_else(entra_sms: EntraSms, dead: Dead) -> None:
    ids = [dead.by_the_worker(f"{number}") for number in range(4)]

    ended = entra_sms("dead-letters", "drop", ids[2], ids[0][:8].upper(), "--yes")

    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            f"Dropped {ids[0][:8]}: full_resync (sync.commands)",
            f"Dropped {ids[2][:8]}: full_resync (sync.commands)",
            "Dropped 2 messages.",
        ],
    )
    assert dead.count(topology.COMMANDS) == 0
    assert dead.left() == [ids[1], ids[3]]


@pytest.mark.parametrize("verb", ["replay", "drop"])
def test_a_person_is_asked(entra_sms: EntraSms, dead: Dead, verb: str) -> None:
    name = dead.by_the_worker("first")

    unasked = entra_sms("dead-letters", verb, "--all")
    refused = entra_sms.on_terminal("dead-letters", verb, name[:8], dialogue=[("[y/N]:", "n")])
    assert (unasked.code, refused.code) == (2, 1)
    assert "--yes says that it is meant" in unasked.words
    assert "Nothing was done." in refused.out
    assert len(listed(entra_sms)) == 1

    agreed = entra_sms.on_terminal("dead-letters", verb, "--all", dialogue=[("[y/N]:", "y")])
    assert agreed.code == 0
    assert name[:8] in agreed.out.partition("[y/N]")[0]
    assert dead.left() == []


@pytest.mark.parametrize("verb", ["replay", "drop"])
def test_what_changes_while_a_person_thinks_is_left_alone(entra_sms: EntraSms, dead: Dead, verb: str) -> None:
    gone, kept = dead.by_the_worker("gone"), dead.by_the_worker("kept")

    def think() -> str:
        assert entra_sms("dead-letters", "drop", gone, "--yes").code == 0
        dead.by_the_worker("new")
        dead.by_the_worker("gone", replays=1)  # it was replayed and has failed again
        return "y"

    ended = entra_sms.on_terminal("dead-letters", verb, "--all", dialogue=[("[y/N]:", think)])

    assert ended.code == 1
    assert f"{gone[:8]} is no longer there" in ended.out
    assert f"ed {kept[:8]}" in ended.out
    assert dead.left() == [guid("new"), gone]


# Faults


@pytest.mark.parametrize(("verb", "replayed"), [("replay", 1), ("drop", 0)])
def test_a_connection_that_dies_before_the_settling_loses_nothing(
    dead: Dead, amqp_url: str, verb: str, replayed: int
) -> None:
    ids = [dead.by_the_worker(f"{number}") for number in range(3)]

    with FaultProxy(address_of(amqp_url)) as proxy:
        entra_sms = EntraSms({"amqp_url": through(proxy, amqp_url)})
        proxy.cut_before(ACK)
        with proxy.firing("cut_before"):
            ended = entra_sms("dead-letters", verb, "--all", "--yes")

    assert ended.code == 4
    assert "RabbitMQ cannot be reached at" in ended.words
    assert "(ENTRA_SMS_AMQP_URL)" in ended.words
    assert dead.count(topology.COMMANDS) == replayed
    eventually(lambda: dead.count(topology.DEAD_LETTERS) == 3)
    assert dead.left() == ids


def test_a_connection_that_dies_before_the_confirm_loses_nothing(dead: Dead, amqp_url: str) -> None:
    ids = [dead.by_the_worker(f"{number}") for number in range(3)]

    with FaultProxy(address_of(amqp_url)) as proxy:
        entra_sms = EntraSms({"amqp_url": through(proxy, amqp_url)})
        proxy.lose_answer_to(b"x-replays")
        with proxy.firing("lost_answer"):
            ended = entra_sms("dead-letters", "replay", "--all", "--yes")

    assert (ended.code, ended.out) == (4, "")
    eventually(lambda: dead.count(topology.DEAD_LETTERS) == 3)
    assert dead.left() == ids
    assert dead.count(topology.COMMANDS) == 1


def test_a_connection_that_dies_while_looking_loses_nothing(dead: Dead, amqp_url: str) -> None:
    ids = [dead.by_the_worker(f"{number}") for number in range(50)]

    with FaultProxy(address_of(amqp_url)) as proxy:
        proxy.cut_after(8_000, "down")
        with proxy.firing("cut_after"):
            ended = EntraSms({"amqp_url": through(proxy, amqp_url)})("dead-letters", "list")

    assert (ended.code, ended.out) == (4, "")
    eventually(lambda: dead.count(topology.DEAD_LETTERS) == 50)
    assert dead.left() == ids


def test_a_program_that_is_killed_with_all_in_hand_loses_nothing(entra_sms: EntraSms, dead: Dead) -> None:
    ids = [dead.by_the_worker(f"{number}") for number in range(20)]
    program = (
        "import time\n"
        "from common.config import load\n"
        "from common.broker.dead_letters import held\n"
        "with held(load(), 'console') as hand:\n"
        "    print(len(hand.letters), flush=True)\n"
        "    time.sleep(600)\n"
    )
    environment = os.environ | entra_sms.environment
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "20\n"
        assert dead.count(topology.DEAD_LETTERS) == 0
        killed.kill()

    assert killed.returncode == -signal.SIGKILL
    assert [letter["message"] for letter in eventually(lambda: listed(entra_sms))] == ids


def test_without_the_queue_it_came_from_a_letter_stays(entra_sms: EntraSms, dead: Dead, amqp_url: str) -> None:
    name = dead.by_the_worker("first")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_delete(topology.COMMANDS)

    ended = entra_sms("dead-letters", "replay", name, "--yes")

    assert (ended.code, ended.out) == (4, "")
    assert "There is no queue sync.commands: a worker makes it when it starts." in ended.words
    eventually(lambda: dead.count(topology.DEAD_LETTERS) == 1)
    assert dead.left() == [name]


@pytest.mark.parametrize("arguments", [["list"], ["show", "6c2dbcd2"], ["replay", "--all"], ["drop", "--all"]])
def test_without_a_broker_it_says_so_plainly(unused_port: int, arguments: list[str]) -> None:
    entra_sms = EntraSms({"amqp_url": f"amqp://guest:password-of-the-broker@127.0.0.1:{unused_port}/%2F"})

    ended = entra_sms("dead-letters", *arguments)

    assert ended.code == 4
    assert f"RabbitMQ cannot be reached at 127.0.0.1:{unused_port}: Connection refused." in ended.words
    assert "password-of-the-broker" not in ended.err


# With a worker


@pytest.fixture
def bench(sqlite_url: str) -> Iterator[Bench]:
    """A tenant whose users and groups have been read, up to the deltaLink `live`."""
    with book(sqlite_url) as found:
        bench = Bench(found)
        bench.graph.on(bench.graph.FIRST, page(end="live"))
        bench.graph.on("live", page(end="live"))
        bench.advance()
        bench.graph.asked.clear()
        yield bench


def test_a_replayed_request_is_carried_out(bench: Bench, entra_sms: EntraSms, dead: Dead, amqp_url: str) -> None:
    dead.by_rabbitmq(messages.encode(bench.request()), queue=topology.REQUESTS)
    assert entra_sms("dead-letters", "replay", "--all", "--yes").code == 0

    with RunningWorker(bench, settings(amqp_url=amqp_url), [topology.REQUESTS]):
        eventually(lambda: "live" in bench.graph.asked, what="a round")

    assert dead.count(topology.REQUESTS) == 0
    assert dead.left() == []


def test_a_replayed_command_is_carried_out_once_what_was_wrong_is_mended(
    bench: Bench, entra_sms: EntraSms, dead: Dead, amqp_url: str
) -> None:
    body = b'{"command": "full_resync", "tenant": "fabrikam.example", "stream": "users"}'
    dead.put(topology.COMMANDS, body, message_id=guid("command"))
    with RunningWorker(bench, settings(amqp_url=amqp_url), [topology.COMMANDS]):
        for replays in range(3):
            [letter] = eventually(lambda: listed(entra_sms))
            assert (letter["message"], letter["replays"]) == (guid("command"), replays)
            assert letter["error"].startswith("No tenant has this id, domain or name")
            assert entra_sms("dead-letters", "replay", "--all", "--yes").code == 0
        eventually(lambda: dead.count(topology.DEAD_LETTERS))
        assert entra_sms("dead-letters", "replay", "--all", "--yes").code == 1  # it would go on for ever

        bench.book.tenant(domain="fabrikam.example")
        assert entra_sms("dead-letters", "replay", "--all", "--yes", "--force").code == 0
        request = eventually(lambda: dead.take(topology.REQUESTS), what="the request for a full round")

    assert messages.decode_request(request.body).stream is Stream.USERS
    assert bench.row()["full_wanted_request_ids"] == [guid("command")]
    assert dead.left() == []


def test_a_letter_that_the_worker_puts_aside_is_still_the_same_message(
    bench: Bench, entra_sms: EntraSms, dead: Dead, amqp_url: str
) -> None:
    no_text = b"\xff" * 255  # three times as long once it is text
    dead.put(topology.COMMANDS, b"{", message_id=guid("command"), headers={"x-replays": 2})
    dead.put(topology.COMMANDS, b"[", message_id=no_text, type=no_text)
    with RunningWorker(bench, settings(amqp_url=amqp_url), [topology.COMMANDS]):
        first, second = eventually(lambda: found if len(found := listed(entra_sms)) == 2 else None)

    assert (first["message"], first["replays"], first["put_there_by"]) == (guid("command"), 2, "worker")
    assert second["message_id"] == second["type"] == "\ufffd" * 85


def test_the_status_names_the_command(sqlite_url: str, entra_sms: EntraSms, dead: Dead, amqp_url: str) -> None:
    dead.by_the_worker("first")
    with book(sqlite_url), a_worker(amqp_url, lambda *_: None):
        ended = EntraSms({"database_url": sqlite_url, "amqp_url": amqp_url})("status")

    assert "1 message in sync.dead-letters; why: entra-sms dead-letters list" in ended.out


def _installation(amqp_url: str) -> Installation:
    installation = Installation()
    installation.__dict__["settings"] = settings(amqp_url=amqp_url)
    return installation
