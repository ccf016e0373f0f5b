"""The private RabbitMQ node that newcomers, the demo and the tests get."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from deploy.local import broker
from deploy.local.broker import Broker
from deploy.local.errors import LocalServiceError
from deploy.local.processes import PidFile
from deploy.local.runs import Run
from tests.support.broker import Vhost, is_on_disk
from tests.support.eventually import eventually
from tests.support.observed import listening_of, processes_of
from tests.support.owner import owner

DEFAULT_PORTS = {4369, 5672, 15672, 25672}
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}  # 127.0.0.1 and ::1 as the kernel writes them


def publish(amqp_url: str, body: bytes) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("letters", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "letters", body, pika.BasicProperties(delivery_mode=2), mandatory=True)


def consume(amqp_url: str) -> bytes:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        body: bytes = eventually(lambda: channel.basic_get("letters", auto_ack=True)[2])
        return body


def pids_in(directory: Path) -> set[int]:
    records = [PidFile(path).read() for path in (directory / "pids").glob("*.json")]
    return {record.identity.pid for record in records if record}


def test_a_message_goes_through_the_vhost_of_a_test(amqp_url: str) -> None:
    publish(amqp_url, b"hello")
    assert consume(amqp_url) == b"hello"


def test_the_vhost_of_a_test_is_empty(vhost: Vhost) -> None:
    assert vhost.queues() == {}


def test_the_vhost_of_a_test_shows_its_queues_to_the_management_api(vhost: Vhost) -> None:
    publish(vhost.url, b"hello")
    assert vhost.queues()["letters"]["type"] == "quorum"


def test_the_management_pages_want_the_login_of_the_node(rabbitmq: Broker) -> None:
    whoami = rabbitmq.management.call("GET", "whoami")
    assert (whoami["name"], whoami["tags"]) == (rabbitmq.user, ["administrator"])
    stranger = Broker.from_url("amqp://guest:guest@localhost", rabbitmq.management_url)
    with pytest.raises(LocalServiceError, match="answered with 401"):
        stranger.management.call("GET", "whoami")


def also_known_to(run: Run, directory: Path) -> None:
    """Let the successor of this session end these processes too, should the session be killed right now."""
    for file in (directory / "pids").glob("*.json"):
        copy = run.directory / "pids" / f"{directory.name}-{file.name}"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(file, copy)


def test_a_node_survives_its_owner_s_kill_neither_running_nor_empty(
    tmp_path: Path, rabbitmq: Broker, local_run: Run
) -> None:
    """The life of a second clone's node, beside the one of this session.

    Its owner is killed with SIGKILL in the worst way, without the kernel's help: the node goes on. The next start
    ends it, begins again with the same data at other ports, and leaving that run leaves no process at all.
    """
    directory = tmp_path / "demo"
    killed = owner(tmp_path, "demo", "rabbitmq", tied=False)
    also_known_to(local_run, directory)
    left = broker.find(directory)
    assert left is not None
    publish(left.amqp_url, b"written before the kill")
    eventually(lambda: is_on_disk(directory, "letters"))
    killed.kill()
    killed.wait()
    orphans = pids_in(directory)
    assert len(orphans) == 2
    assert orphans <= processes_of(directory)

    with Run.claim("demo", var=tmp_path) as run:
        assert not orphans & processes_of(directory)
        assert broker.find(directory) is None
        again = broker.start(run)
        assert again.port != left.port
        assert consume(again.amqp_url) == b"written before the kill"
        assert_private(directory)
        assert rabbitmq.is_ready()
        assert rabbitmq.port != again.port
    eventually(lambda: not processes_of(directory))


def assert_private(directory: Path) -> None:
    places = listening_of(processes_of(directory))
    ports = {port for _, port in places}
    assert {address for address, _ in places} <= LOOPBACK
    assert len(ports) == 4
    assert not ports & DEFAULT_PORTS
    assert max(ports) < 32768


def test_the_whole_node_dies_with_its_owner(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    killed = owner(tmp_path, "demo", "rabbitmq")
    assert pids_in(directory) <= processes_of(directory)
    killed.kill()
    killed.wait()
    eventually(lambda: not processes_of(directory))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Run.claim("demo", var=tmp_path) as run:
        yield run


def test_a_broker_that_exists_is_used_instead(run: Run, vhost: Vhost) -> None:
    environ = {
        "ENTRA_SMS_AMQP_URL": vhost.url,
        "ENTRA_SMS_AMQP_MANAGEMENT_URL": vhost.broker.management_url,
    }
    given = broker.start(run, environ=environ)
    assert given.amqp_url == vhost.url
    assert given.management == vhost.broker.management
    assert not list(run.directory.glob("rabbitmq*"))


def test_a_named_broker_that_is_not_there_is_an_error(run: Run) -> None:
    sentence = "ENTRA_SMS_AMQP_URL names 127.0.0.1:9, but no broker speaks AMQP there"
    with pytest.raises(LocalServiceError, match=re.escape(sentence)):
        broker.start(run, environ={"ENTRA_SMS_AMQP_URL": "amqp://127.0.0.1:9"})


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("amqp://ann:p%2Fw@broker.example:5673/sms", "amqp://ann:p%2Fw@broker.example:5673/sms"),
        ("amqp://localhost", "amqp://guest:guest@localhost:5672/%2F"),
        ("amqp://localhost/%2F", "amqp://guest:guest@localhost:5672/%2F"),
    ],
)
def test_an_address_is_read_as_clients_read_it(given: str, url: str) -> None:
    assert Broker.from_url(given).amqp_url == url
