"""`make screenshots`: the pictures of docs/operations.md, taken of a simulated company on a real broker.

What they show really happened: people came and went, an operator typed commands, one of them wrong, half of the company
seemed to have left, and the workers were stopped for a while.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
from playwright.sync_api import Locator

from common import topology
from deploy.local import broker
from deploy.local.broker import Broker
from deploy.local.errors import LocalServiceError
from deploy.local.pages import Pages, logged_in, picture
from deploy.local.paths import ROOT
from deploy.local.processes import Process
from deploy.local.rabbitmq import OPERATOR, PROCESSES
from deploy.local.runs import Run, exit_on_signals, say
from deploy.local.system import System

Seen = TypeVar("Seen")

IMAGES = ROOT / "docs" / "images"
CHANGES_PER_SECOND = 2.0
LOOKED_AT_SECONDS = 40.0
"""The charts show a minute."""
_PATIENCE_SECONDS = 90.0
_LOOK_SECONDS = 0.5


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Take the pictures of docs/operations.md anew."""
    exit_on_signals()
    try:
        with Run.claim("screenshots") as run:
            node = broker.start(run, fresh=True)
            system, workers = _start(run, node)
            IMAGES.mkdir(exist_ok=True)
            with logged_in(node.account(OPERATOR)) as pages:
                Photographer(system, pages, node).take_all(workers)
    except LocalServiceError as error:
        raise click.ClickException(str(error)) from error


def _start(run: Run, node: Broker) -> tuple[System, list[Process]]:
    for old in run.directory.glob("book.sqlite3*"):
        old.unlink()
    database_url = f"sqlite:///{run.directory / 'book.sqlite3'}"
    system = System(run, node.account(PROCESSES).amqp_url, database_url, {"ENTRA_SMS_FOLLOW_UP_SECONDS": "1,5,15"})
    system.start_simulator(users=300, groups=20)
    system.start_webhook()
    workers = [system.start_worker(f"worker-{number}") for number in (1, 2)]
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    system.simulated().call("PUT", "lively", {"changes_per_second": CHANGES_PER_SECOND, "seed": 1})
    return system, workers


class Photographer:
    """Makes things happen and takes their pictures."""

    def __init__(self, system: System, pages: Pages, node: Broker) -> None:
        self._system = system
        self._pages = pages
        self._management = node.management
        self._domain = system.simulated().domain

    def take_all(self, workers: list[Process]) -> None:
        self._day_by_day()
        self._command()
        self._wrong_command()
        self._held_removals()
        self._workers_away(workers)

    def _day_by_day(self) -> None:
        say(f"Watching the company for {LOOKED_AT_SECONDS:.0f} s ...")
        time.sleep(LOOKED_AT_SECONDS)
        pages = self._pages
        pages.show("connections")
        _take("connections", pages.page.locator("#outer"))
        pages.show("queues")
        _take("queues", pages.page.locator("#outer"))
        pages.show_queue(topology.REQUESTS)
        _take("consumers", pages.section("Consumers"))

    def _command(self) -> None:
        before = self._count(topology.RESULTS)
        command: dict[str, str | int] = {"command": "full_resync", "tenant": self._domain, "stream": "users"}
        _take("command", self._type(command, send=False))
        self._type(command)
        self._await("the result of the command", lambda: self._count(topology.RESULTS) >= before + 2)
        _take("result", self._message(topology.RESULTS, saying='"asked"'))

    def _wrong_command(self) -> None:
        self._type({"command": "full_resync", "tenant": f"{self._domain}x"})
        self._await("the dead letter", lambda: self._count(topology.DEAD_LETTERS) > 0)
        _take("dead-letter", self._message(topology.DEAD_LETTERS))

    def _held_removals(self) -> None:
        """Half of the company seems to have left; the operator does not believe it."""
        control = self._system.simulated()
        control.call("PUT", "faults", {"hidden_share": 0.5})
        self._type({"command": "full_resync", "tenant": self._domain, "stream": "users"})
        hold = self._await("the held removals", self._hold)
        control.call("PUT", "faults", {"hidden_share": 0.0})
        self._type({"command": "reject_removals", "tenant": self._domain, "hold": hold})
        self._await("the decision", lambda: self._message(topology.RESULTS, saying="reject_removals").count() > 0)
        _take("decision", self._message(topology.RESULTS, saying="reject_removals"))

    def _hold(self) -> int:
        """The number of what is held; 0 when nothing is."""
        try:
            return int(json.loads(self._system.entra_sms("holds", "show", "--json"))["hold"])
        except LocalServiceError:
            return 0

    def _workers_away(self, workers: list[Process]) -> None:
        say(f"Stopping the workers for {LOOKED_AT_SECONDS:.0f} s ...")
        for worker in workers:
            worker.stop()
        time.sleep(LOOKED_AT_SECONDS)
        self._pages.show_queue(topology.REQUESTS)
        charts = self._pages.section("Overview")
        _take("backlog", charts, until=charts.locator("h3", has_text="Details"))

    def _type(self, command: dict[str, str | int], *, send: bool = True) -> Locator:
        return self._pages.publish(topology.COMMANDS, json.dumps(command), send=send)

    def _message(self, queue: str, saying: str = "") -> Locator:
        """The last message of a queue whose text has these words."""
        boxes = self._pages.get_messages(queue, self._count(queue)).locator(".box")
        return (boxes.filter(has_text=saying) if saying else boxes).last

    def _count(self, queue: str) -> int:
        count: int = self._management.call("GET", f"queues/%2F/{queue}").get("messages", 0)
        return count

    def _await(self, what: str, look: Callable[[], Seen]) -> Seen:
        """Look until there is something, and return it."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (seen := look()):
            if time.monotonic() > deadline:
                raise LocalServiceError(f"{what} did not come; see {self._system.directory / 'logs'}.")
            time.sleep(_LOOK_SECONDS)
        return seen


def _take(name: str, shown: Locator, *, until: Locator | None = None) -> None:
    path: Path = IMAGES / f"{name}.png"
    picture(shown, path, until=until)
    say(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
