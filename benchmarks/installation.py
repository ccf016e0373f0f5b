"""An installation that is measured: webhook, workers and broker as processes of their own, and a Graph for them."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pika

from benchmarks import webhook_servers
from benchmarks.asked_graph import READY, delta_link
from benchmarks.full_round_company import Size, write_pages
from benchmarks.full_round_scene import Databases
from benchmarks.webhook_servers import Server
from common import config, topology
from common.client_state import ClientStates
from common.db.engine import Database
from common.messages import Stream
from deploy.local.broker import Broker
from deploy.local.errors import LocalServiceError
from deploy.local.paths import ROOT
from deploy.local.ports import Reservation
from deploy.local.processes import Process
from deploy.local.runs import Run
from deploy.local.system import is_connected
from simulator.certificates import ensure_authority
from tests.load.wire import PATH, Target
from tests.support.broker import vhost_for
from tests.support.eventually import eventually
from tests.support.notifications import SECRET_KEY, TENANT, change

Prepared = TypeVar("Prepared")

START_SECONDS = 60.0
ANSWER_SECONDS = 60.0
JSON = {"Content-Type": "application/json"}


@dataclass
class Graph:
    """The Graph that runs (`benchmarks.asked_graph`), over one connection that stays open."""

    process: Process
    port: int
    ca_file: Path
    _connection: http.client.HTTPSConnection = field(init=False)

    def __post_init__(self) -> None:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        self._connection = http.client.HTTPSConnection("localhost", self.port, timeout=ANSWER_SECONDS, context=context)

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    def announce(self, *changes: Mapping[str, Any]) -> None:
        """Let these changes (`tenant_id`, `stream`, `entry`) be told to who asks from now on."""
        self._call("POST", "/changes", json.dumps(changes))

    def wait_before_answers(self, latency_ms: float) -> None:
        self._call("GET", f"/latency?ms={latency_ms:g}")

    def asked(self) -> dict[str, int]:
        """Return how often each resource was asked for."""
        found: dict[str, int] = json.loads(self._call("GET", "/asked"))
        return found

    def ask(self, tenant_id: str, stream: Stream, position: int) -> None:
        """Ask for delta as a worker does, without doing anything with the answer."""
        path = delta_link("", stream, position)
        json.loads(self._call("GET", path, headers={"Authorization": f"Bearer {tenant_id}"}))

    def _call(self, method: str, path: str, body: str = "", headers: Mapping[str, str] = JSON) -> bytes:
        self._connection.request(method, path, body, dict(headers))
        return self._connection.getresponse().read()


@dataclass
class Installation:
    """What runs on one database."""

    run: Run
    amqp_url: str
    database_url: str
    graph: Graph
    states: ClientStates
    _started: list[Process] = field(default_factory=list)

    def environment(self, **settings: str) -> dict[str, str]:
        """Return the environment of a process of ours; `settings` are further ENTRA_SMS_ ones by their full names."""
        ours = {
            "ENTRA_SMS_DATABASE_URL": self.database_url,
            "ENTRA_SMS_AMQP_URL": self.amqp_url,
            "ENTRA_SMS_SECRET_KEY": SECRET_KEY,
            "ENTRA_SMS_GRAPH_URL": self.graph.origin,
            "ENTRA_SMS_LOGIN_URL": self.graph.origin,
            "ENTRA_SMS_CA_BUNDLE": str(self.graph.ca_file),
        }
        return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | ours | settings

    def start_webhook(self) -> Server:
        """Start a webhook on loopback without TLS, as behind a proxy."""
        with Reservation(2) as reservation:
            target = Target("127.0.0.1", reservation.ports[0], "", TENANT, self.states.make(TENANT, Stream.USERS))
            server = webhook_servers.start(self.run, reservation, target, "webhook.wsgi:app", self.amqp_url, ROOT)
        self._started.append(server.process)
        with pika.BlockingConnection(pika.URLParameters(self.amqp_url)) as connection:
            connection.channel().queue_purge(topology.REQUESTS)  # the notification by which it proved to be ready
        return server

    def start_workers(self, count: int = 1, **settings: str) -> list[Process]:
        """Start workers and wait until they consume."""
        environment = self.environment(**settings)
        command = [sys.executable, "-m", "worker"]
        workers = [self.run.start(f"worker-{n}", command, env=environment, mark="-m worker") for n in range(count)]
        self._started += workers
        for worker in workers:
            eventually(partial(is_connected, worker), within_seconds=START_SECONDS, what=worker.name)
        return workers

    def stop(self) -> None:
        """End what was started, workers first."""
        while self._started:
            self._started.pop().stop()

    def notification(self, tenant_id: str, stream: Stream, object_id: str) -> bytes:
        """Return the body that Graph posts for one changed object."""
        return json.dumps({"value": [change(self.states, stream, tenant=tenant_id, object_id=object_id)]}).encode()

    def waiting(self, *queues: str) -> int:
        """Return how many messages are ready in these queues."""
        with pika.BlockingConnection(pika.URLParameters(self.amqp_url)) as connection:
            channel = connection.channel()
            return sum(channel.queue_declare(one, passive=True).method.message_count for one in queues)


def post(port: int, body: bytes) -> None:
    """Post a notification over a connection of its own.

    Raises:
        LocalServiceError: the webhook has not taken it.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", PATH, body, JSON)
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != 202:
        raise LocalServiceError(f"The webhook answered {status} to a notification.")


@contextmanager
def installation(
    run: Run,
    node: Broker,
    made: Databases,
    kind: str,
    prepare: Callable[[Database, str], Prepared],
    first_sync: Size | None = None,
) -> Iterator[tuple[Installation, Prepared]]:
    """Give a fresh database of that kind, a vhost and a Graph.

    `prepare(database, origin)` fills the database before anything looks at it; what it returns is passed on. Who reads
    a directory from the beginning finds a company of the size `first_sync`, or an empty one.
    """
    with ExitStack() as exits:
        graph = exits.enter_context(asked_graph(run, first_sync))
        database_url = exits.enter_context(made.fresh(kind))
        database = Database.from_url(database_url)
        try:
            prepared = prepare(database, graph.origin)
        finally:
            database.close()
        vhost = exits.enter_context(vhost_for(node, "bench"))
        states = ClientStates.from_settings(config.load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY}))
        found = Installation(run, vhost.url, database_url, graph, states)
        try:
            yield found, prepared
        finally:
            found.stop()


@contextmanager
def asked_graph(run: Run, first_sync: Size | None = None) -> Iterator[Graph]:
    """Run a Graph that answers only what is asked."""
    folder = run.directory / "graph"
    authority = ensure_authority(folder)
    certificate, key = authority.issue(folder, "graph", ["localhost"])
    with Reservation(1) as reservation:
        port = reservation.ports[0]
        where = ["--port", str(port), "--certificate", str(certificate), "--key", str(key)]
        command = [sys.executable, "-m", "benchmarks.asked_graph", *where]
        if first_sync is not None:
            index = folder / "index.json"
            write_pages(first_sync, f"https://localhost:{port}", folder).save(index)
            command += ["--index", str(index)]
        process = run.start("graph", command, mark="benchmarks.asked_graph")
        eventually(lambda: READY in process.log.read_text(), within_seconds=START_SECONDS, what="the Graph")
        try:
            yield Graph(process, port, authority.certificate_file)
        finally:
            process.stop()
