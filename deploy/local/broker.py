"""A RabbitMQ broker for a run: the one that ENTRA_SMS_AMQP_URL names, one that stayed up, or a private node.

`start` is all that a caller needs; the node ends with the run. `python -m deploy.local broker up` makes one that stays.
"""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from deploy.local import packages, rabbitmq
from deploy.local.errors import LocalServiceError
from deploy.local.management import Management
from deploy.local.ports import Reservation
from deploy.local.processes import AT_ONCE, Ending, Process
from deploy.local.rabbitmq import Node
from deploy.local.runs import Run, Say, end_processes, runs_there, say

URL_VARIABLE = "ENTRA_SMS_AMQP_URL"
MANAGEMENT_VARIABLE = "ENTRA_SMS_AMQP_MANAGEMENT_URL"
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_WITH_ALL_DATA = Ending(grace_seconds=30)
_START_SECONDS = 90.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Broker:
    """How to reach a broker: over AMQP, and as a person or a test over HTTP."""

    host: str
    port: int
    user: str
    password: str
    management_url: str
    vhost: str = "/"
    is_private: bool = False

    @classmethod
    def from_url(cls, amqp_url: str, management_url: str | None = None) -> Self:
        parts = urlsplit(amqp_url)
        host = parts.hostname or "localhost"
        return cls(
            host=host,
            port=parts.port or 5672,
            user=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            management_url=(management_url or f"http://{host}:15672").rstrip("/"),
            vhost=unquote(parts.path[1:]) or "/",
        )

    @classmethod
    def of(cls, node: Node) -> Self:
        here = f"http://127.0.0.1:{node.management_port}"
        return cls("127.0.0.1", node.amqp_port, node.user, node.password, here, is_private=True)

    def account(self, name: str) -> Self:
        """With one of the accounts that a deployment has (`rabbitmq.ACCOUNTS`); a given broker has only its own."""
        return replace(self, user=name) if self.is_private else self

    @property
    def amqp_url(self) -> str:
        return self.url_of(self.vhost)

    @property
    def management(self) -> Management:
        return Management(self.management_url, self.user, self.password)

    def url_of(self, vhost: str) -> str:
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"amqp://{login}@{self.host}:{self.port}/{quote(vhost, safe='')}"

    def is_ready(self) -> bool:
        """Whether AMQP is spoken there: a broker answers the protocol header with its first frame, of type 1."""
        try:
            with socket.create_connection((self.host, self.port), timeout=5) as connection:
                connection.sendall(_PROTOCOL_HEADER)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False


def start(
    run: Run,
    *,
    fresh: bool = False,
    kept: bool = False,
    environ: Mapping[str, str] = os.environ,
    tell: Say = say,
) -> Broker:
    """The broker of a run, ready.

    Args:
        run: Owns the node and stops it by SIGKILL, since a polite stop takes 6 seconds. What was confirmed is on disk;
            only a queue that was declared within the last second may be found broken by a later start.
        fresh: Begin without the data of the run before.
        kept: Let the node outlive this process; a later start of the same purpose takes it over.
        environ: Where a broker that exists may be named, by ENTRA_SMS_AMQP_URL.
        tell: Where the sentences about slow steps go.
    """
    if environ.get(URL_VARIABLE):
        return _given(environ)
    folder = run.directory / "rabbitmq"
    running = find(run.directory)
    if running is not None:
        return running
    end_processes(run.directory, "rabbitmq", "epmd")  # one that stayed up but does not answer
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    installation = packages.ensure(packages.RABBITMQ, tell=tell)
    tell(f"Starting a private RabbitMQ node in {folder} (about 7 s) ...")
    with Reservation(4) as reservation:
        node = Node.at(folder, reservation.ports, password=_password(folder))
        return _start(run, node, folder, installation, kept=kept)


def find(directory: Path) -> Broker | None:
    """The broker that is up for a run's folder, whoever started it."""
    try:
        record = json.loads((directory / "rabbitmq" / "node.json").read_text())
        broker = Broker.of(Node(**record))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return broker if runs_there(directory, "rabbitmq") and broker.is_ready() else None


def _given(environ: Mapping[str, str]) -> Broker:
    broker = Broker.from_url(environ[URL_VARIABLE], environ.get(MANAGEMENT_VARIABLE))
    if not broker.is_ready():
        raise LocalServiceError(
            f"{URL_VARIABLE} names {broker.host}:{broker.port}, but no broker speaks AMQP there; "
            f"start it, or unset {URL_VARIABLE} to get a private one."
        )
    return broker


def _start(run: Run, node: Node, folder: Path, installation: packages.Installation, *, kept: bool) -> Broker:
    rabbitmq.write_configuration(node, folder)
    env = rabbitmq.environment(node, folder, installation)
    epmd_command = rabbitmq.epmd_command(node, installation)
    mark = " ".join(epmd_command[1:])
    epmd = run.start("epmd", epmd_command, env=env, cwd=folder, mark=mark, kept=kept, ending=AT_ONCE)
    _wait(epmd, lambda: _listens(node.epmd_port))
    command = rabbitmq.node_command(folder, installation)
    ending = _WITH_ALL_DATA if kept else AT_ONCE
    server = run.start("rabbitmq", command, env=env, cwd=folder, kept=kept, ending=ending)
    broker = Broker.of(node)
    _wait(server, lambda: broker.is_ready() and _listens(node.management_port))
    broker.management.call("GET", "whoami")
    _write_private(folder / "node.json", json.dumps(node.fields()))
    return broker


def _wait(process: Process, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not is_ready():
        process.require_alive()
        if time.monotonic() > deadline:
            raise LocalServiceError(f"{process.name} did not get ready in {_START_SECONDS:.0f} s; see {process.log}.")
        time.sleep(_POLL_SECONDS)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def _password(folder: Path) -> str | None:
    """The password that the data of this node was made with; None when there is no data."""
    try:
        return str(json.loads((folder / "node.json").read_text())["password"])
    except (FileNotFoundError, ValueError, KeyError):
        shutil.rmtree(folder, ignore_errors=True)  # a node that never got ready has nothing worth keeping
        return None


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
