"""What the accounts of a deployment may do on a real broker: the processes, an operator, and who only looks."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker, ProbableAccessDeniedError

from common import config, topology
from common.broker import outgoing
from common.broker.publisher import Publisher
from common.clock import utc_now
from common.messages import Reason, Stream, SyncRequest
from deploy.local.broker import Broker
from deploy.local.errors import LocalServiceError
from deploy.local.management import Management
from deploy.local.rabbitmq import ACCOUNTS, MONITOR, OPERATOR, PROCESSES
from tests.support.broker import Vhost
from tests.support.eventually import eventually
from tests.support.notifications import TENANT

EVENTS = Path(__file__).parents[2] / "docs" / "events.md"
COMMAND = {"command": "sync_now", "tenant": "*"}


@pytest.fixture
def declared(vhost: Vhost) -> Vhost:
    """A vhost with all queues, declared with the account of the processes, and a dead letter."""
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": vhost.open_to(PROCESSES).amqp_url}), "tests")
    try:
        publisher.publish(
            outgoing.dead_letter(b"{}", queue=topology.REQUESTS, message_type="", reason="defect", error=""),
            timeout_seconds=10,
        )
    finally:
        publisher.close()
    return vhost


def pages_of(vhost: Vhost, account: str) -> tuple[Management, Callable[[str, str], str]]:
    """The management API with an account, and how it calls something of this vhost."""
    return vhost.open_to(account).management, lambda kind, rest: f"{kind}/{vhost.name}/{rest}"


def get_messages(vhost: Vhost, account: str, queue: str) -> list[dict[str, Any]]:
    """What the form "Get messages" does; the messages stay."""
    management, path = pages_of(vhost, account)
    form = {"count": 10, "ackmode": "ack_requeue_true", "encoding": "auto"}
    return list(management.call("POST", path("queues", f"{queue}/get"), form))


def publish(vhost: Vhost, account: str) -> None:
    """What the form "Publish message" of the queue of commands does."""
    management, path = pages_of(vhost, account)
    form = {"routing_key": topology.COMMANDS, "payload": json.dumps(COMMAND), "payload_encoding": "string"}
    management.call("POST", path("exchanges", "amq.default/publish"), form | {"properties": {}})


def test_the_node_gives_each_account_what_the_definitions_say(rabbitmq: Broker) -> None:
    granted = rabbitmq.management.call("GET", "vhosts/%2F/permissions")
    assert {entry["user"] for entry in granted} == {*ACCOUNTS, rabbitmq.user}
    assert [policy["name"] for policy in rabbitmq.management.call("GET", "policies/%2F")] == ["sync-bounded"]


def test_the_processes_may_declare_publish_delay_receive_and_reject(vhost: Vhost) -> None:
    url = vhost.open_to(PROCESSES).amqp_url
    publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": url}), "tests")
    request = SyncRequest(TENANT, Stream.USERS, Reason.POLL, utc_now())
    try:
        publisher.publish(outgoing.request(request), timeout_seconds=10)
        publisher.publish(outgoing.request(request, delay_seconds=0.5), timeout_seconds=10)
    finally:
        publisher.close()
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        for _ in range(2):  # one at once, one through its delay
            eventually(lambda: channel.basic_get(topology.REQUESTS, auto_ack=True)[0])
        channel.exchange_declare("addressbook", "topic", durable=True)
        channel.queue_declare(topology.DEAD_LETTERS_LOCK, exclusive=True)


@pytest.mark.parametrize("name", ["syncs", "other", "synchronous.queue", "xsync"])
def test_the_processes_may_declare_nothing_else(vhost: Vhost, name: str) -> None:
    with (
        pika.BlockingConnection(pika.URLParameters(vhost.open_to(PROCESSES).amqp_url)) as connection,
        pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"),
    ):
        connection.channel().queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})


def test_the_account_of_the_processes_opens_no_pages(declared: Vhost) -> None:
    management, path = pages_of(declared, PROCESSES)
    with pytest.raises(LocalServiceError, match="401"):
        management.call("GET", path("queues", ""))


def test_who_watches_sees_connections_queues_counts_and_nodes(declared: Vhost) -> None:
    management, path = pages_of(declared, MONITOR)
    queues = {queue["name"] for queue in management.call("GET", path("queues", "").rstrip("/"))}
    assert queues == {queue.name for queue in topology.queues()}
    eventually(
        lambda: management.call("GET", path("queues", topology.DEAD_LETTERS))["messages_ready"] == 1,
        what="the count of dead letters",
        despite=(KeyError,),
    )
    with pika.BlockingConnection(pika.URLParameters(declared.open_to(PROCESSES).amqp_url)):
        eventually(lambda: management.call("GET", path("vhosts", "connections")))
    assert management.call("GET", "nodes")[0]["running"]


def test_who_watches_cannot_read_publish_purge_or_delete(declared: Vhost) -> None:
    management, path = pages_of(declared, MONITOR)
    letters = path("queues", topology.DEAD_LETTERS)
    with pytest.raises(LocalServiceError, match="was answered with 4"):
        get_messages(declared, MONITOR, topology.DEAD_LETTERS)
    with pytest.raises(LocalServiceError, match="was answered with 4"):
        publish(declared, MONITOR)
    for forbidden in (f"{letters}/contents", letters, path("exchanges", topology.EXCHANGE)):
        with pytest.raises(LocalServiceError, match="was answered with 401"):
            management.call("DELETE", forbidden)
    assert len(get_messages(declared, OPERATOR, topology.DEAD_LETTERS)) == 1


@pytest.mark.parametrize(
    "attempt",
    [
        lambda channel: channel.queue_declare("sync.mine", durable=True, arguments={"x-queue-type": "quorum"}),
        lambda channel: channel.exchange_declare("sync.mine", "topic"),
        lambda channel: channel.basic_get(topology.DEAD_LETTERS),
        lambda channel: channel.basic_consume(topology.DEAD_LETTERS, print),
        lambda channel: channel.queue_purge(topology.DEAD_LETTERS),
        lambda channel: channel.queue_bind(topology.DEAD_LETTERS, topology.EXCHANGE, "request.*"),
        lambda channel: _publish_confirmed(channel, topology.EXCHANGE, "command.sync_now"),
        lambda channel: _publish_confirmed(channel, "", topology.COMMANDS),
    ],
    ids=["declare-queue", "declare-exchange", "get", "consume", "purge", "bind", "publish", "publish-to-queue"],
)
def test_who_watches_can_do_nothing_by_amqp(declared: Vhost, attempt: Callable[[Any], None]) -> None:
    with (
        pika.BlockingConnection(pika.URLParameters(declared.open_to(MONITOR).amqp_url)) as connection,
        pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"),
    ):
        attempt(connection.channel())


def _publish_confirmed(channel: Any, exchange: str, key: str) -> None:
    channel.confirm_delivery()
    channel.basic_publish(exchange, key, b"{}")


def test_an_operator_types_commands_reads_messages_and_empties_queues(declared: Vhost) -> None:
    publish(declared, OPERATOR)
    [command] = eventually(lambda: get_messages(declared, OPERATOR, topology.COMMANDS))
    assert json.loads(command["payload"]) == COMMAND
    management, path = pages_of(declared, OPERATOR)
    management.call("DELETE", path("queues", f"{topology.COMMANDS}/contents"))
    assert get_messages(declared, OPERATOR, topology.COMMANDS) == []


def test_an_operator_may_delete_a_queue_that_was_declared_otherwise_and_nothing_of_others(declared: Vhost) -> None:
    management, path = pages_of(declared, OPERATOR)
    management.call("DELETE", path("queues", topology.LIFECYCLE))
    assert topology.LIFECYCLE not in declared.queues()
    with pytest.raises(LocalServiceError, match="was answered with 4"):
        management.call("PUT", path("queues", "mine"), {"durable": True, "arguments": {"x-queue-type": "quorum"}})
    with pytest.raises(LocalServiceError, match="was answered with 401"):
        management.call("GET", "users")


def test_an_account_is_let_into_no_vhost_but_its_own(vhost: Vhost) -> None:
    foreign = vhost.broker.account(MONITOR).url_of(vhost.name)
    with pytest.raises(ProbableAccessDeniedError):
        pika.BlockingConnection(pika.URLParameters(foreign))


@pytest.fixture
def consumer_url(declared: Vhost) -> Iterator[str]:
    """An account as docs/events.md gives one to a consumer."""
    [words] = re.findall(r"^rabbitmqctl set_permissions (.*)$", EVENTS.read_text(), re.MULTILINE)
    name, configure, write, read = shlex.split(words)
    management, user, password = declared.broker.management, f"{name}-{declared.name}", "a-password-of-the-tests"
    management.call("PUT", f"users/{user}", {"password": password, "tags": ""})
    granted = {"configure": configure, "write": write, "read": read}
    management.call("PUT", f"permissions/{quote(declared.name, safe='')}/{user}", granted)
    try:
        yield replace(declared.broker, user=user, password=password, vhost=declared.name).amqp_url
    finally:
        management.call("DELETE", f"users/{user}")


def test_a_consumer_with_the_documented_permissions_gets_events_and_nothing_else(
    declared: Vhost, consumer_url: str
) -> None:
    with pika.BlockingConnection(pika.URLParameters(consumer_url)) as connection:
        channel = connection.channel()
        channel.queue_declare("sms-platform", durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_bind("sms-platform", topology.EVENTS, "#")
        publisher = Publisher(config.load({"ENTRA_SMS_AMQP_URL": declared.open_to(PROCESSES).amqp_url}), "tests")
        try:
            event = {"event": "contact.removed", "tenant_id": TENANT, "sequence": 1}
            publisher.publish(outgoing.event(event), timeout_seconds=10)
            publisher.publish(outgoing.event(event, queue="sms-platform"), timeout_seconds=10)
        finally:
            publisher.close()
        for _ in range(2):
            assert eventually(lambda: channel.basic_get("sms-platform", auto_ack=True)[2]) == json.dumps(event).encode()
        for forbidden in (
            lambda channel: channel.basic_get(topology.DEAD_LETTERS),
            lambda channel: channel.queue_bind("sms-platform", topology.EXCHANGE, "#"),
            lambda channel: channel.queue_declare("another", durable=True),
            lambda channel: _publish_confirmed(channel, topology.EVENTS, "contact.removed"),
            lambda channel: _publish_confirmed(channel, topology.EXCHANGE, "command.sync_now"),
        ):
            with pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED"):
                forbidden(connection.channel())
