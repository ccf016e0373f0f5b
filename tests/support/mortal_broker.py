"""A RabbitMQ node that a test may kill and bring back with its data, on the ports that its clients know."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pika
from pika.exceptions import AMQPError

from common import topology
from deploy.local import packages, rabbitmq
from deploy.local.broker import Broker
from deploy.local.ports import Reservation
from deploy.local.processes import AT_ONCE, Process
from deploy.local.rabbitmq import Node
from deploy.local.runs import Run
from tests.support.broker import is_on_disk
from tests.support.eventually import eventually

_BOOT_SECONDS = 90.0


class MortalBroker:
    """Use `mortal_broker`; it is alive when a test gets it, and whoever kills it revives it."""

    def __init__(self, run: Run, node: Node) -> None:
        self.broker = Broker.of(node)
        self._run = run
        self._node = node
        self._folder = run.directory / "rabbitmq"
        self._installation = packages.ensure(packages.RABBITMQ)
        self._environment = rabbitmq.environment(node, self._folder, self._installation)
        self._process: Process | None = None

    @property
    def run_directory(self) -> Path:
        """Where the node keeps what it has, below `rabbitmq`."""
        return self._run.directory

    def prepare(self) -> None:
        rabbitmq.write_configuration(self._node, self._folder)
        command = rabbitmq.epmd_command(self._node, self._installation)
        self._run.start(
            "epmd", command, env=self._environment, cwd=self._folder, mark=" ".join(command[1:]), ending=AT_ONCE
        )

    def kill(self) -> bool:
        """SIGKILL: nothing is said goodbye to, nothing is flushed. Return whether it lived until then."""
        if self._process is None or self._process.exit_status is not None:
            return False
        self._process.kill()
        return True

    def begin(self) -> None:
        """Start the node; it is not ready yet."""
        command = rabbitmq.node_command(self._folder, self._installation)
        self._process = self._run.start("rabbitmq", command, env=self._environment, cwd=self._folder, ending=AT_ONCE)

    def revive(self) -> None:
        self.begin()
        eventually(self.broker.is_ready, within_seconds=_BOOT_SECONDS, what="the broker")
        eventually(
            lambda: self.broker.management.call("GET", "whoami"),
            within_seconds=_BOOT_SECONDS,
            what="its management API",
            despite=(Exception,),
        )

    def empty(self) -> None:
        """Make the queues such as a kill leaves whole, with nothing in them of a test before."""
        eventually(self._purge, within_seconds=_BOOT_SECONDS, what="its queues", despite=(AMQPError,))
        for queue in topology.queues():
            eventually(partial(is_on_disk, self.run_directory, queue.name), what=f"{queue.name} on disk")

    def _purge(self) -> bool:
        with pika.BlockingConnection(pika.URLParameters(self.broker.amqp_url)) as connection:
            channel = connection.channel()
            topology.declare(channel)
            for queue in topology.queues():
                channel.queue_purge(queue.name)
        return True


@contextmanager
def mortal_broker() -> Iterator[MortalBroker]:
    with Run.claim("test-mortal", several=True) as run, mortal_broker_of(run) as broker:
        yield broker


@contextmanager
def mortal_broker_of(run: Run) -> Iterator[MortalBroker]:
    """A node of that run, alive and without any data of before."""
    with Reservation(4) as reservation:
        node = Node.at(run.directory / "rabbitmq", reservation.ports, password=None)
        shutil.rmtree(run.directory / "rabbitmq", ignore_errors=True)
        broker = MortalBroker(run, node)
        broker.prepare()
        broker.revive()
        yield broker
