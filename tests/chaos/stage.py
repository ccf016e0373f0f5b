"""What a chaos run happens on: every process of the system, each of which may die, and the networks between them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from sqlalchemy import create_engine, text

from deploy.local.control import Control
from deploy.local.ports import Reservation
from deploy.local.processes import Process
from deploy.local.runs import Run
from deploy.local.system import System, is_connected
from tests.chaos.marks import SECRET_MARK
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, address_of, through
from tests.support.mortal_broker import MortalBroker, mortal_broker_of
from tests.support.mortal_postgres import MortalPostgres, mortal_postgres_of
from tests.support.whole_system import IMPATIENT

WEBHOOKS = WORKERS = 2
_READY_SECONDS = 120.0
_STATE = text("SELECT state FROM tenants WHERE tenant_id = :tenant")
SETTINGS = IMPATIENT | {
    "ENTRA_SMS_SUBSCRIPTION_CHECK_SECONDS": "10",
    "ENTRA_SMS_SLICE_SECONDS": "3",
    "ENTRA_SMS_PUBLISH_EVENTS": "true",
    "ENTRA_SMS_LOG_LEVEL": "debug",  # what is not logged here is not logged at all
    "ENTRA_SMS_LOG_FORMAT": "json",
}


@dataclass
class Post:
    """The place of one webhook or worker: whoever stands there may be killed and followed by another."""

    name: str
    metrics_port: int
    start: Callable[[str], Process]
    process: Process | None = None
    _lives: Iterator[int] = field(default_factory=lambda: count(1))

    def begin(self) -> None:
        """Start the next one; it is not ready yet. Its log has a name of its own."""
        self.process = self.start(f"{self.name}-{next(self._lives)}")

    def kill(self) -> bool:
        """SIGKILL; return whether it lived until then."""
        if self.process is None or self.process.exit_status is not None:
            return False
        self.process.kill()
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def is_up(self) -> bool:
        """Whether it runs and has been connected.

        Raises:
            LocalServiceError: it ended by itself.
        """
        if self.process is None:
            return False
        self.process.require_alive()
        return is_connected(self.process)


@dataclass
class Stage:
    """All that runs, and what stands between it."""

    system: System
    broker: MortalBroker
    postgres: MortalPostgres
    broker_network: FaultProxy
    database_network: FaultProxy
    webhooks: list[Post]
    workers: list[Post]

    @property
    def control(self) -> Control:
        return self.system.simulated()

    @property
    def direct_database_url(self) -> str:
        """The database without the faults of its network."""
        return self.postgres.cluster.url_of("postgres")

    @property
    def posts(self) -> list[Post]:
        return [*self.webhooks, *self.workers]

    def is_tenant_active(self) -> bool:
        """Whether the product believes that the tenant's access works."""
        engine = create_engine(self.direct_database_url)
        try:
            with engine.connect() as connection:
                state = connection.execute(_STATE, {"tenant": self.control.tenant_id}).scalar_one()
        finally:
            engine.dispose()
        return bool(state == "active")

    def await_all_up(self) -> None:
        for post in self.posts:
            eventually(post.is_up, within_seconds=_READY_SECONDS, what=post.name)


@contextmanager
def stage(run: Run, *, users: int, groups: int, seed: int, tell: Callable[[str], None]) -> Iterator[Stage]:
    """Everything up but the tenant, which is to be added; all of it ends with the block."""
    for folder in ("logs", "rabbitmq", "postgres"):
        shutil.rmtree(run.directory / folder, ignore_errors=True)
    with ExitStack() as stack:
        tell("Starting RabbitMQ and PostgreSQL ...")
        postgres = stack.enter_context(mortal_postgres_of(run))
        broker = stack.enter_context(mortal_broker_of(run))
        database_url = postgres.cluster.url_of("postgres")
        broker_network = stack.enter_context(FaultProxy(address_of(broker.broker.amqp_url)))
        database_network = stack.enter_context(FaultProxy(address_of(database_url)))
        ports = stack.enter_context(Reservation(2 * WEBHOOKS + WORKERS)).ports
        bind_ports, metrics_ports = ports[:WEBHOOKS], ports[WEBHOOKS:]
        balancer = stack.enter_context(FaultProxy(*(("127.0.0.1", port) for port in bind_ports)))

        tell(f"Starting a simulated directory of {users:,} people and {groups:,} groups ...")
        system = System(
            run,
            through(broker_network, broker.broker.amqp_url),
            through(database_network, database_url),
            SETTINGS,
            public_port=balancer.address[1],
        )
        system.start_simulator(users=users, groups=groups, seed=seed)
        secret = f"{SECRET_MARK}8Q~{system.simulated().client_secret}"
        system.simulated().call("PUT", "credentials", {"client_secret": secret})
        system.control = replace(system.simulated(), client_secret=secret)

        tell(f"Starting {WEBHOOKS} webhooks behind a balancer and {WORKERS} workers ...")
        webhooks = [_webhook(system, *numbers) for numbers in enumerate(zip(bind_ports, metrics_ports, strict=False))]
        workers = [_worker(system, number, port) for number, port in enumerate(metrics_ports[WEBHOOKS:])]
        made = Stage(system, broker, postgres, broker_network, database_network, webhooks, workers)
        for post in made.posts:
            post.begin()
        made.await_all_up()
        yield made


def _webhook(system: System, number: int, ports: tuple[int, int]) -> Post:
    def start(name: str) -> Process:
        return system.start_webhook(name, port=ports[0], wait=False, ENTRA_SMS_METRICS_BIND=f"127.0.0.1:{ports[1]}")

    return Post(f"webhook-{number + 1}", ports[1], start)


def _worker(system: System, number: int, metrics_port: int) -> Post:
    def start(name: str) -> Process:
        return system.start_worker(name, wait=False, ENTRA_SMS_METRICS_BIND=f"127.0.0.1:{metrics_port}")

    return Post(f"worker-{number + 1}", metrics_port, start)
