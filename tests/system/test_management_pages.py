"""What docs/operations.md promises to be seen in RabbitMQ's pages, looked up in a real browser."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from common import topology
from deploy.local.pages import Pages, logged_in
from deploy.local.processes import Process
from deploy.local.rabbitmq import MONITOR, OPERATOR
from deploy.local.system import System
from tests.support.broker import Vhost
from tests.support.eventually import eventually

pytestmark = pytest.mark.system

OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
WRONG = '{"command": "full_resync", "tenant": "nobody.example"}'


@pytest.fixture
def worker(system: System) -> Process:
    """That of a system that runs."""
    system.start_simulator(users=20, groups=3)
    system.start_webhook()
    return system.start_worker()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_watches_sees_who_is_connected_what_waits_and_how_much_and_no_message(
    worker: Process, vhost: Vhost
) -> None:
    with logged_in(vhost.open_to(OPERATOR)) as pages:
        pages.publish(topology.COMMANDS, WRONG)
        letter = eventually(lambda: _message(pages, topology.DEAD_LETTERS, having=WRONG))
        assert "No tenant has this id" in letter
        assert all(f"{header}:" in letter for header in ("x-error", "x-reason", "x-origin-queue", "x-sent-at"))
        assert all(
            f"`{header}`" in OPERATIONS
            for header in re.findall(r"(x-[a-z-]+):", letter)
            if header != "x-delivery-count"
        )
        assert "x-outcome: refused" in eventually(lambda: _message(pages, topology.RESULTS, having="Refused."))

    with logged_in(vhost.open_to(MONITOR)) as pages:
        promised_connections = set(re.findall(r"`(webhook|worker)@… (\w+)`", OPERATIONS))
        assert len(promised_connections) == 3
        eventually(lambda: _connections(pages) == promised_connections)

        queues = {queue.name for queue in topology.queues()}
        promised = set(re.findall(r"`(sync\.[a-z.-]+(?:\d+s)?)`", OPERATIONS))
        assert promised & queues
        assert promised <= queues | {topology.DEAD_LETTERS_LOCK}
        pages.show("queues")
        assert {name for name in queues if f" {name} quorum " in pages.text()} == queues
        eventually(lambda: _ready(pages, topology.DEAD_LETTERS) == 1)

        pages.show_queue(topology.REQUESTS)
        tag = f"worker@{socket.gethostname()}:{worker.pid} {topology.REQUESTS}"
        assert tag in pages.section("Consumers").inner_text()

        refused = pages.get_messages(topology.DEAD_LETTERS).inner_text()
        assert "ACCESS_REFUSED" in refused
        assert WRONG not in pages.text()


def _message(pages: Pages, queue: str, *, having: str) -> str:
    """The text of a queue's messages, if the words are in them."""
    text = " ".join(pages.get_messages(queue, count=10).inner_text().split())
    return text if having in text else ""


def _connections(pages: Pages) -> set[tuple[str, str]]:
    """Which processes are connected to do what, by the names of their connections."""
    pages.show("connections")
    return set(re.findall(rf"(\w+)@{re.escape(socket.gethostname())}:\d+ ([a-z]+)", pages.text()))


def _ready(pages: Pages, queue: str) -> int:
    """What stands under "Ready" in the line of a queue; RabbitMQ counts every few seconds."""
    pages.show("queues")
    found = re.search(rf" {re.escape(queue)} quorum .*? running (\d+) ", pages.text())
    return int(found[1]) if found else -1
