"""A vhost of its own for each test, so that no test can see the queues of another."""

import json
import re
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.local.broker import Broker
from deploy.local.rabbitmq import DEFINITIONS


@dataclass(frozen=True)
class Vhost:
    """A vhost with all permissions, and the management API's view of it."""

    broker: Broker
    name: str

    @property
    def url(self) -> str:
        return self.broker.url_of(self.name)

    def open_to(self, account: str) -> Broker:
        """The broker with an account of a deployment, which gets in this vhost the permissions that it has there."""
        opened = self.broker.account(account)
        if opened != self.broker:
            [granted] = [entry for entry in _definitions()["permissions"] if entry["user"] == account]
            where = f"permissions/{quote(self.name, safe='')}/{account}"
            self.broker.management.call("PUT", where, {what: granted[what] for what in ("configure", "write", "read")})
        return replace(opened, vhost=self.name)

    def queues(self) -> dict[str, dict[str, Any]]:
        """What the management API says about each queue; its message counts lag by some seconds."""
        return {queue["name"]: queue for queue in self._get("queues")}

    def consumers(self) -> list[dict[str, Any]]:
        return list(self._get("consumers"))

    def connections(self) -> list[dict[str, Any]]:
        return list(self._get("vhosts", "connections"))

    def _get(self, kind: str, below: str = "") -> Any:
        path = "/".join(part for part in (kind, quote(self.name, safe=""), below) if part)
        return self.broker.management.call("GET", path)


def _definitions() -> dict[str, Any]:
    definitions: dict[str, Any] = json.loads(DEFINITIONS.read_text())
    return definitions


def is_on_disk(run_directory: Path, queue: str) -> bool:
    """Whether a quorum queue would survive a SIGKILL of the private node.

    RabbitMQ 3.10 writes the register of its quorum queues about a second after it confirmed the declaration. A node
    that is killed before has the messages on disk, but after its restart it begins the queue anew and never answers
    for it.
    """
    registers = run_directory.glob("rabbitmq/mnesia/*/quorum/*/names.dets")
    return any(queue.encode() in register.read_bytes() for register in registers)


class Vhosts:
    """Makes vhosts of one broker and deletes them again, not at once but when nothing in them is new any more.

    For a quorum queue that dead-letters at least once, as ours do, RabbitMQ starts a process once it is declared.
    If the queue is gone by then, that process fails twice, and takes the supervisor of all such processes with it: from
    then on every declaration of such a queue, in any vhost, ends with INTERNAL_ERROR until the node is started anew
    (seen with RabbitMQ 3.10; the issue 16652 of rabbitmq-server tells the same of 4.2).
    """

    _SETTLED_SECONDS = 5.0

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._left: deque[tuple[float, str]] = deque()

    @contextmanager
    def lent(self, test_name: str) -> Iterator[Vhost]:
        """A new vhost, named after the test so that RabbitMQ's own pages and logs tell whose it is."""
        self._delete_settled()
        words = re.sub(r"[^A-Za-z0-9]+", "-", test_name).strip("-")[-80:]
        vhost = Vhost(self._broker, f"{words}-{uuid.uuid4().hex[:6]}")
        self._broker.management.create_vhost(vhost.name)
        try:
            yield vhost
        finally:
            self._left.append((time.monotonic(), vhost.name))

    def close(self) -> None:
        """Delete those that are left, but leave those of a private node to its end."""
        if not self._broker.is_private and self._left:
            time.sleep(self._SETTLED_SECONDS)
            self._delete_settled()

    def _delete_settled(self) -> None:
        while self._left and time.monotonic() - self._left[0][0] >= self._SETTLED_SECONDS:
            self._broker.management.delete_vhost(self._left.popleft()[1])


@contextmanager
def vhosts_of(broker: Broker) -> Iterator[Vhosts]:
    vhosts = Vhosts(broker)
    try:
        yield vhosts
    finally:
        vhosts.close()


@contextmanager
def vhost_for(broker: Broker, name: str) -> Iterator[Vhost]:
    """A vhost for a program that needs one."""
    with vhosts_of(broker) as vhosts, vhosts.lent(name) as vhost:
        yield vhost
