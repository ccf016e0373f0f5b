"""What a tenant costs at Graph: a burst of notifications, and a quiet day.

The simulated Graph counts requests and resource units; webhook, worker and RabbitMQ are those that are shipped.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pika

from benchmarks.figure import Effort, Figure, at_most
from common import topology
from common.db.migrations import upgrade
from deploy.local import broker
from deploy.local.control import Control
from deploy.local.ports import Reservation
from deploy.local.processes import Process
from deploy.local.runs import Run, say
from deploy.local.system import System
from tests.support.broker import vhost_for
from tests.support.eventually import eventually

NAME = "graph_cost"
DESCRIPTION = "requests and resource units at Graph, against a program that reads each object that it is notified of."

PEOPLE, GROUPS = 1_000, 50
POSTERS = 4
OF_A_BURST = at_most(0.01)
"""Requests a notification: 100 for 10,000."""
LAST_FOLLOW_UP_SECONDS = 300
QUIET_SECONDS = 3.0
SETTLED_WITHIN_SECONDS = 300.0

POLL_SECONDS, RENEWAL_HOURS, CHECK_SECONDS = 300, 84, 3_600
"""As shipped: when a stream is polled, a subscription renewed, and whether it is still there is asked."""
DAY_SECONDS = 86_400
QUICK_POLL_SECONDS = 2


@dataclass(frozen=True)
class Plan:
    """How many bursts of how many notifications in how many seconds, and how long nothing happens."""

    repetitions: int
    notifications: int
    seconds: float
    quiet_seconds: float


PLANS = {
    Effort.QUICK: Plan(1, 2_000, 12, 10),
    Effort.ORDINARY: Plan(3, 10_000, 60, 30),
    Effort.FULL: Plan(5, 10_000, 60, 60),
}


@dataclass(frozen=True)
class Cost:
    """What Graph was asked."""

    requests: int
    delta_requests: int
    resource_units: int

    def __sub__(self, before: Cost) -> Cost:
        return Cost(
            self.requests - before.requests,
            self.delta_requests - before.delta_requests,
            self.resource_units - before.resource_units,
        )

    @classmethod
    def now(cls, control: Control) -> Cost:
        report = control.call("GET", "statistics")
        counts = {route: sum(by_status.values()) for route, by_status in report["requests"].items()}
        delta = sum(count for route, count in counts.items() if "delta" in route)
        return cls(control.graph_requests(), delta, report["resource_units"])


@dataclass(frozen=True)
class Burst:
    """What Graph was asked until the last notification was answered, and with all follow-ups."""

    at_once: Cost
    in_all: Cost


def measure(effort: Effort) -> list[Figure]:
    """Return the figures."""
    plan = PLANS[effort]
    with _system() as (system, worker):
        say("  Bursts ...")
        bursts = [_burst(system, plan, number) for number in range(plan.repetitions)]
        worker.stop()
        say("  Nothing happens ...")
        polled = [_requests_a_poll(system, plan.quiet_seconds) for _ in range(plan.repetitions)]
    what = f"{plan.notifications:,} notifications of {PEOPLE:,} people in {plan.seconds:g} s"
    against = "a program that reads each object that it is notified of"
    figures = [
        Figure.of(
            f"{NAME}: requests a notification, {what}",
            "times its requests",
            [one.in_all.requests / plan.notifications for one in bursts],
            against=against,
            aim=OF_A_BURST,
        ),
        Figure.of(
            f"{NAME}: requests while they come, {what}",
            "requests",
            [float(one.at_once.requests) for one in bursts],
            against=f"{plan.notifications:,} of {against}",
        ),
        Figure.of(
            f"{NAME}: requests with all follow-ups, {what}",
            "requests",
            [float(one.in_all.requests) for one in bursts],
            against=f"{plan.notifications:,} of {against}",
        ),
        Figure.of(
            f"{NAME}: resource units, {what}",
            "units",
            [float(one.in_all.resource_units) for one in bursts],
            against="8,000 in 10 s, which Graph allows an application in such a tenant",
        ),
        Figure.of(f"{NAME}: requests a poll of a stream", "requests", polled, against="nothing: a count"),
    ]
    others = DAY_SECONDS / CHECK_SECONDS + 2 * 24 / RENEWAL_HOURS
    days = [2 * DAY_SECONDS / POLL_SECONDS * one + others for one in polled]
    figures.append(
        Figure.of(
            f"{NAME}: a quiet day of a tenant: polls, looks at subscriptions, renewals",
            "requests",
            days,
            against="nothing: computed from the requests of a poll, and one for each look and renewal",
        )
    )
    return figures


@contextmanager
def _system() -> Iterator[tuple[System, Process]]:
    """A company that has been read and is subscribed to."""
    with Run.claim("bench", several=True) as run:
        node = broker.start(run, fresh=True)
        path = run.directory / "graph-cost.sqlite3"
        for file in run.directory.glob("graph-cost.sqlite3*"):
            file.unlink()
        upgrade(f"sqlite:///{path}")
        with vhost_for(node, NAME) as vhost:
            system = System(run, vhost.url, f"sqlite:///{path}")
            system.start_simulator(users=PEOPLE, groups=GROUPS)
            system.start_webhook()
            worker = system.start_worker()
            system.add_tenant()
            eventually(lambda: len(_subscriptions(system)) == 2, within_seconds=60, what="subscriptions")
            _settle(system)
            yield system, worker


def _burst(system: System, plan: Plan, number: int) -> Burst:
    """Change everybody again and again, evenly over the time, and return what came of it until all is quiet."""
    control = system.simulated()
    people = [user["id"] for user in control.directory()["users"]]
    before, sent = Cost.now(control), _acknowledged(control)
    began = time.monotonic()
    numbers = iter(range(plan.notifications))
    lock = threading.Lock()

    def change() -> None:
        context = ssl.create_default_context(cafile=control.ca_file)
        host = control.url.removeprefix("https://")
        connection = http.client.HTTPSConnection(host, timeout=60, context=context)
        while True:
            with lock:
                change = next(numbers, None)
            if change is None:
                return
            time.sleep(max(0.0, began + change * plan.seconds / plan.notifications - time.monotonic()))
            body = json.dumps({"mobilePhone": f"+48 69{number} {change:06}"})
            path = f"/control/tenants/{control.tenant_id}/users/{people[change % len(people)]}"
            connection.request("PATCH", path, body, {"Content-Type": "application/json"})
            connection.getresponse().read()

    posters = [threading.Thread(target=change) for _ in range(POSTERS)]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    say(f"  {plan.notifications:,} changes in {time.monotonic() - began:.0f} s ...")
    eventually(lambda: _acknowledged(control) - sent >= plan.notifications, within_seconds=120, what="notifications")
    eventually(lambda: not _waiting(system, topology.REQUESTS), within_seconds=120, what="an empty queue")
    return Burst(Cost.now(control) - before, _settle(system) - before)


def _settle(system: System) -> Cost:
    """Wait until nothing is to be done but the last follow-ups; these are counted as if each cost a request."""
    control = system.simulated()
    last = topology.delayed_queue(LAST_FOLLOW_UP_SECONDS)
    others = [queue.name for queue in topology.queues() if queue.name.startswith("sync.delayed") and queue.name != last]

    def rest() -> bool:
        if _waiting(system, topology.REQUESTS, *others):
            return False
        before = Cost.now(control)
        time.sleep(QUIET_SECONDS)
        return Cost.now(control) == before

    eventually(rest, within_seconds=SETTLED_WITHIN_SECONDS, what="rest")
    left = _waiting(system, last)
    found = Cost.now(control)
    return Cost(found.requests + left, found.delta_requests + left, found.resource_units + left)


def _requests_a_poll(system: System, seconds: float) -> float:
    """Return how many requests a poll costs when nothing has changed, as a worker counts that polls often."""
    control = system.simulated()
    with Reservation(1) as reservation:
        bind = f"127.0.0.1:{reservation.ports[0]}"
        worker = system.start_worker(
            "polling-worker", ENTRA_SMS_POLL_SECONDS=str(QUICK_POLL_SECONDS), ENTRA_SMS_METRICS_BIND=bind
        )
    system.entra_sms("sync", "--wait")  # from here on the streams are due as often as this worker has it
    turns, before = _turns(bind), Cost.now(control)
    time.sleep(seconds)
    asked, taken = Cost.now(control) - before, _turns(bind) - turns
    worker.stop()
    return asked.delta_requests / taken


def _turns(bind: str) -> float:
    with urllib.request.urlopen(f"http://{bind}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("entra_sms_turns_total{"))


def _subscriptions(system: System) -> list[Any]:
    found: list[Any] = system.simulated().call("GET", "subscriptions")["subscriptions"]
    return found


def _acknowledged(control: Control) -> int:
    return int(control.call("GET", "statistics")["notifications"].get("acknowledged", 0))


def _waiting(system: System, *queues: str) -> int:
    """Return how many messages are ready in these queues."""
    with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
        channel = connection.channel()
        return sum(int(channel.queue_declare(one, passive=True).method.message_count) for one in queues)
