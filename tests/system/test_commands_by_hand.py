"""Every command as an operator gives it in RabbitMQ's management pages, with the real processes, and its one answer.

The form "Publish message" of the pages sends no content type and the payload as text. It is tried as such a message
over AMQP, and through the management API, which is what the pages themselves call; each with the operator's account.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pika
import pytest
from sqlalchemy import create_engine, text

from common import topology
from common.commands import Verb, example
from deploy.local.broker import Broker
from deploy.local.rabbitmq import OPERATOR
from deploy.local.system import System
from tests.support.broker import Vhost
from tests.support.eventually import eventually
from tests.support.whole_system import await_equality, await_subscriptions, rows, trouble

pytestmark = pytest.mark.system

LEAVING = 30
Publish = Callable[[bytes], None]


def by_amqp(broker: Broker) -> Publish:
    """What the form makes of a payload: a message without content type and message id, kept on disk, headers empty."""

    def publish(payload: bytes) -> None:
        with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
            properties = pika.BasicProperties(delivery_mode=2, headers={})
            connection.channel().basic_publish("", topology.COMMANDS, payload, properties)

    return publish


def by_management(broker: Broker) -> Publish:
    """What the pages send to the management API when the form is submitted."""

    def publish(payload: bytes) -> None:
        form = {
            "vhost": broker.vhost,
            "name": "amq.default",
            "properties": {"delivery_mode": 2, "headers": {}},
            "routing_key": topology.COMMANDS,
            "delivery_mode": "2",
            "payload": payload.decode(),
            "payload_encoding": "string",
            "headers": {},
            "props": {},
        }
        where = f"exchanges/{quote(broker.vhost, safe='')}/amq.default/publish"
        assert broker.management.call("POST", where, form) == {"routed": True}

    return publish


@dataclass
class Desk:
    """An operator with a running system: types commands, reads the answers with "Get messages"."""

    system: System
    broker: Broker
    publish: Publish
    answers: list[dict[str, Any]] = field(default_factory=list)

    def command(self, verb: Verb, **fields: object) -> dict[str, Any]:
        """Type a command and return its answer."""
        return self.type(json.dumps({"command": verb, "tenant": "Nordwind", "by": "the test", **fields}).encode())

    def type(self, payload: bytes) -> dict[str, Any]:
        known = len(self.answers)
        self.publish(payload)
        self.await_answers(known + 1)
        return self.answers[-1]

    def queue(self, name: str) -> list[tuple[pika.BasicProperties, bytes]]:
        """Take all messages of a queue."""
        found = []
        with pika.BlockingConnection(pika.URLParameters(self.broker.amqp_url)) as connection:
            channel = connection.channel()
            while True:
                method, properties, body = channel.basic_get(name, auto_ack=True)
                if method is None:
                    return found
                found.append((properties, body))

    def await_answers(self, count: int) -> None:
        eventually(lambda: len(self._read()) >= count, within_seconds=90, what=f"{count} answers")
        assert len(self._read()) == count, self.answers

    def _read(self) -> list[dict[str, Any]]:
        for properties, body in self.queue(topology.RESULTS):
            if properties.type == "command_result":
                told = json.loads(body)
                assert properties.headers["x-outcome"] == told["outcome"]
                assert properties.correlation_id == told["message_id"]
                self.answers.append(told)
        return self.answers


@pytest.fixture(params=[("sqlite", by_amqp), ("postgresql", by_management)], ids=["amqp", "management API"])
def place(request: pytest.FixtureRequest) -> tuple[str, Callable[[Broker], Publish]]:
    """A database, and how commands are given; each of one kind with each of the other would tell nothing more."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def database_url(place: tuple[str, Callable[[Broker], Publish]], request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{place[0]}_url"))


@pytest.fixture
def desk(system: System, vhost: Vhost, place: tuple[str, Callable[[Broker], Publish]]) -> Iterator[Desk]:
    system.start_simulator(users=100, groups=8)
    system.start_webhook()
    system.start_worker()
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    await_subscriptions(system)
    broker = vhost.open_to(OPERATOR)
    desk = Desk(system, broker, place[1](broker))
    desk.await_answers(1)  # of the full sync
    yield desk
    assert trouble(system) == []


def edit_by_hand(system: System, object_id: str) -> None:
    engine = create_engine(system.database_url)
    with engine.begin() as connection:
        mistaken = text("UPDATE contacts SET display_name = 'edited by hand' WHERE object_id = :id")
        assert connection.execute(mistaken, {"id": object_id}).rowcount == 1
    engine.dispose()


def test_every_command_is_carried_out_and_answered(desk: Desk) -> None:
    system = desk.system
    answer = desk.command(Verb.SYNC_NOW)
    assert (answer["outcome"], answer["by"], answer["tenants"]) == ("done", "the test", 1)
    assert answer["asked"] == {"command": "sync_now", "tenant": "Nordwind"}

    answer = desk.command(Verb.FULL_RESYNC, tenant="*", stream="users")
    assert (answer["outcome"], answer["tenant_id"]) == ("done", system.simulated().tenant_id)
    assert answer["objects"] >= 100
    assert answer["summary"].startswith("full_resync of Nordwind was done in ")
    assert answer["seconds"] >= 0

    [person] = rows(system, "SELECT object_id FROM contacts ORDER BY object_id LIMIT 1")
    object_id = str(person["object_id"])
    edit_by_hand(system, object_id)
    answer = desk.command(Verb.RESYNC_OBJECT, object=object_id)
    assert (answer["outcome"], answer["changed"]) == ("done", 1)
    assert trouble(system) == []
    [group] = rows(system, "SELECT object_id FROM groups ORDER BY object_id LIMIT 1")
    assert desk.command(Verb.RESYNC_OBJECT, object=str(group["object_id"]))["outcome"] == "done"
    answer = desk.command(Verb.RESYNC_OBJECT, object=str(uuid.UUID(int=1)))
    assert "Graph shows nothing of it now" in answer["summary"]

    answer = desk.command(Verb.RENEW_SUBSCRIPTIONS)
    assert answer["outcome"] == "done"
    assert answer["summary"].startswith("renew_subscriptions of Nordwind: Subscriptions: users until 20")
    assert ", groups until 20" in answer["summary"]

    answer = desk.command(Verb.CHECK_ACCESS, tenant=system.simulated().domain)
    works = "check_access of Nordwind: The access works: User.Read.All, Group.Read.All, GroupMember.Read.All."
    assert answer["summary"] == works

    assert "Paused" in desk.command(Verb.PAUSE, reason="for the test")["summary"]
    assert rows(system, "SELECT state, state_reason FROM tenants") == [
        {"state": "paused", "state_reason": "for the test"}
    ]
    subscriptions = lambda: system.simulated().call("GET", "subscriptions")["subscriptions"]  # noqa: E731
    eventually(lambda: not subscriptions(), within_seconds=60, what="no subscription while paused")
    system.simulated().call("POST", "random-changes", {"count": 10, "seed": 1})
    answer = desk.command(Verb.FULL_RESYNC)
    assert (answer["outcome"], answer["troubles_in_all"]) == ("failed", 2)
    assert "The tenant is paused" in answer["summary"]
    assert trouble(system), "a paused tenant was read"
    assert "Resumed" in desk.command(Verb.RESUME)["summary"]
    await_equality(system)
    await_subscriptions(system)

    removals = decide_about_removals(desk)
    assert removals == ["rejected", "approved"]


def decide_about_removals(desk: Desk) -> list[str]:
    """Half of the company leaves: the removals are held, rejected, held anew, and approved."""
    system = desk.system
    for person in rows(system, "SELECT object_id FROM contacts ORDER BY object_id")[:LEAVING]:
        system.simulated().call("DELETE", f"users/{person['object_id']}")

    def hold() -> dict[str, Any]:
        found = rows(system, "SELECT hold_id, last_number FROM holds WHERE ended_at IS NULL")
        assert found
        assert found[0]["last_number"] >= LEAVING - 20
        return found[0]

    held = eventually(hold, within_seconds=60, what="removals that are held")
    answer = desk.command(Verb.REJECT_REMOVALS, hold=held["hold_id"])
    assert answer["outcome"] == "done"
    assert "Removals are held: entra-sms holds show" in answer["summary"]
    held = eventually(hold, within_seconds=60, what="removals that are held anew")
    refused = desk.command(Verb.APPROVE_REMOVALS, hold=held["hold_id"], up_to=held["last_number"] + 1)
    assert (refused["outcome"], "is too high" in refused["problem"]) == ("refused", True)
    desk.queue(topology.DEAD_LETTERS)
    answer = desk.command(Verb.APPROVE_REMOVALS, hold=held["hold_id"], up_to=held["last_number"])
    assert (answer["outcome"], answer["removed"]) == ("done", held["last_number"])
    await_equality(system)
    return [row["outcome"] for row in rows(system, "SELECT outcome FROM holds ORDER BY hold_id")]


WRONG = {
    "no such tenant": (example(Verb.SYNC_NOW).encode(), "No tenant has this id", Verb.SYNC_NOW),
    "no such verb": (b'{"command": "pauze", "tenant": "*"}', '"command" must be one of: full_resync', Verb.PAUSE),
    "broken JSON": (b'{"command": "sync_now", "tenant": ', "The body is not JSON.", Verb.SYNC_NOW),
    "empty": (b"", "The message is empty.", Verb.SYNC_NOW),
    "1 MiB": (b"x" * 1_048_576, "The message has 1,048,576 bytes", Verb.SYNC_NOW),
}


def test_a_wrong_command_is_answered_with_what_would_have_been_right_and_kept(desk: Desk) -> None:
    for payload, problem, right in WRONG.values():
        answer = desk.type(payload)
        assert answer["outcome"] == "refused"
        assert answer["problem"].startswith(problem)
        assert json.loads(answer["right"])["command"] == right
        assert answer["right"] in answer["summary"]
        [(properties, body)] = desk.queue(topology.DEAD_LETTERS)
        assert body == payload
        assert properties.headers["x-error"].startswith(problem)
        assert properties.headers["x-origin-queue"] == topology.COMMANDS


def test_dead_letters_are_replayed_but_for_those_that_nobody_can_read(desk: Desk) -> None:
    assert desk.type(b"{")["outcome"] == "refused"
    assert desk.type(example(Verb.SYNC_NOW).encode())["outcome"] == "refused"
    desk.system.entra_sms("tenants", "add", "--tenant-id", desk.system.simulated().tenant_id, "--domain", "contoso.com")
    known = len(desk.answers)

    desk.publish(example(Verb.REPLAY_DEAD_LETTERS).encode())

    eventually(lambda: len(desk._read()) == known + 2, within_seconds=90, what="two answers")
    replayed, done = sorted(desk.answers[known:], key=lambda one: one["asked"]["command"])
    sentence = "replay_dead_letters of all tenants: 1 replayed. 1 left: `entra-sms dead-letters list` says why."
    assert replayed["summary"] == sentence
    assert (done["asked"]["command"], done["outcome"]) == ("sync_now", "done")
    assert [body for _, body in desk.queue(topology.DEAD_LETTERS)] == [b"{"]
