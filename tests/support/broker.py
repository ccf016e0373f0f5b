"""A vhost of its own for each test, so that no test can see the queues of another."""

import json
import re
import uuid
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


@contextmanager
def vhost_for(broker: Broker, test_name: str) -> Iterator[Vhost]:
    """A new vhost, named after the test so that RabbitMQ's own pages and logs tell whose it is."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", test_name).strip("-")[-80:]
    vhost = Vhost(broker, f"{words}-{uuid.uuid4().hex[:6]}")
    broker.management.create_vhost(vhost.name)
    try:
        yield vhost
    finally:
        broker.management.delete_vhost(vhost.name)
