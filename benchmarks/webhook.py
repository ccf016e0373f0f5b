"""The webhook against the least that Flask can do in the same gunicorn, with a real RabbitMQ that confirms.

Who posts, who answers and RabbitMQ share the machine: what each of them takes of the processors is a figure too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pika

from benchmarks import loads, webhook_servers
from benchmarks.figure import Effort, Figure, at_least, at_most
from benchmarks.loads import Load, Requests
from benchmarks.turns import ratios, take_turns
from benchmarks.webhook_servers import Server, cpu_seconds_of
from common import config, topology
from common.client_state import ClientStates
from common.messages import Stream
from deploy.local import broker
from deploy.local.errors import LocalServiceError
from deploy.local.paths import ROOT
from deploy.local.ports import Reservation
from deploy.local.processes import PidFile
from deploy.local.runs import Run, say
from tests.load.wire import Target
from tests.support.broker import vhost_for
from tests.support.notifications import SECRET_KEY, TENANT

NAME = "webhook"
DESCRIPTION = "notifications that are answered when RabbitMQ has confirmed, against a Flask view that only answers."

FLOOR = "a Flask view that only answers, in the same gunicorn"
STOCK = "the same view, with gunicorn's own threads instead of `webhook/patience.py`"
CONNECTIONS = (1, 16, 64, 256)
MOST = 256
OPEN_CONNECTIONS = 1_800
"""Of the generator that posts at a rate: enough that it hardly ever waits for one."""
ITEMS = 100
SHARES = (0.25, 0.5, 1, 2)
HALF, MOST_SHARE = 0.5, 2


@dataclass(frozen=True)
class Plan:
    """How long and how often."""

    repetitions: int
    seconds: float
    connections: Sequence[int]


PLANS = {
    Effort.QUICK: Plan(repetitions=3, seconds=2, connections=(16, MOST)),
    Effort.ORDINARY: Plan(repetitions=5, seconds=4, connections=CONNECTIONS),
    Effort.FULL: Plan(repetitions=9, seconds=6, connections=CONNECTIONS),
}


@dataclass(frozen=True)
class Turn:
    """What came of one load, and the processor time it took of each who took part, in seconds."""

    load: Load
    webhook_seconds: float
    broker_seconds: float

    @property
    def rate(self) -> float:
        return self.load.rate

    @property
    def server_seconds_each(self) -> float:
        """Processor time of the server for a request."""
        return self.webhook_seconds / self.load.statuses["202"]

    def share(self, seconds: float) -> float:
        """Return how much of the processor time of all of them that is, in percent."""
        return 100 * seconds / (self.webhook_seconds + self.broker_seconds + self.load.cpu_seconds)


@dataclass(frozen=True)
class Stage:
    """The servers that run, the queue, and the requests."""

    amqp_url: str
    broker_pid: int | None
    webhook: Server
    floor: Server
    stock: Server
    one: Requests
    many: Requests

    def play(self, server: Server, post: Callable[[int], Load]) -> Turn:
        """Post to a server and note what it cost; afterwards the queue is empty again."""
        before = server.cpu_seconds(), self._broker_seconds()
        load = post(server.port)
        after = server.cpu_seconds(), self._broker_seconds()
        messages = self._empty()
        if server is self.webhook and not messages:
            raise LocalServiceError("Nothing is in the queue of what the webhook has answered with 202.")
        return Turn(load, after[0] - before[0], after[1] - before[1])

    def _broker_seconds(self) -> float:
        return cpu_seconds_of(self.broker_pid) if self.broker_pid else 0.0

    def _empty(self) -> int:
        """Take what is in the queue; a few of the last requests may come in later."""
        with pika.BlockingConnection(pika.URLParameters(self.amqp_url)) as connection:
            return int(connection.channel().queue_purge(topology.REQUESTS).method.message_count)


@contextmanager
def stage(run: Run, tree: Path = ROOT) -> Iterator[Stage]:
    """Start everything; `tree` has the code of the webhook."""
    node = broker.start(run, fresh=True)
    record = PidFile(run.directory / "pids" / "rabbitmq.json").read()
    state = ClientStates.from_settings(config.load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY})).make(TENANT, Stream.USERS)
    with vhost_for(node, NAME) as vhost, Reservation(2) as ours, Reservation(2) as others, Reservation(2) as stocks:
        target, floor_target, stock_target = (
            Target("127.0.0.1", reservation.ports[0], "", TENANT, state) for reservation in (ours, others, stocks)
        )
        view = "benchmarks.webhook_floor:app"
        floor = partial(webhook_servers.start, application=view, amqp_url=vhost.url, tree=ROOT)
        yield Stage(
            vhost.url,
            record.identity.pid if record else None,
            webhook_servers.start(run, ours, target, "webhook.wsgi:app", vhost.url, tree),
            floor(run, others, floor_target),
            floor(run, stocks, stock_target, options=("--worker-class", "gthread")),
            Requests.made(run.directory / "one.http", target, 1),
            Requests.made(run.directory / "many.http", target, ITEMS),
        )


def measure(effort: Effort) -> list[Figure]:
    """Return the figures of the webhook."""
    plan = PLANS[effort]
    with Run.claim("bench", several=True) as run, stage(run) as found:
        _warm_up(found)
        return list(itertools.chain(_closed(found, plan), _batches(found, plan), _open(found, plan)))


def _warm_up(found: Stage) -> None:
    for server in (found.webhook, found.floor, found.stock):
        found.play(server, partial(loads.as_fast_as_it_answers, requests=found.one, connections=16, seconds=2))


def _closed(found: Stage, plan: Plan) -> Iterator[Figure]:
    for connections in plan.connections:
        say(f"  As fast as it answers, over {connections} connections ...")
        turns = take_turns(_arms(found, found.one, connections, plan.seconds), plan.repetitions)
        rates = {name: [turn.rate for turn in those] for name, those in turns.items()}
        yield Figure.of(
            f"{NAME}: requests a second over {connections} connections",
            "times the floor",
            ratios(rates["webhook"], rates["floor"]),
            against=FLOOR,
            aim=at_least(0.7) if connections in (16, MOST) else None,
        )
        yield Figure.of(
            f"{NAME}: requests a second over {connections} connections, plain floor",
            "times the floor",
            ratios(rates["webhook"], rates["stock"]),
            against=STOCK,
            aim=at_least(0.7) if connections in (16, MOST) else None,
        )
        if connections == MOST:
            yield from _costs(turns)


def _costs(turns: Mapping[str, Sequence[Turn]]) -> Iterator[Figure]:
    ours = turns["webhook"]
    yield Figure.of(
        f"{NAME}: processor time a request, over {MOST} connections",
        "times the floor",
        ratios([turn.server_seconds_each for turn in ours], [turn.server_seconds_each for turn in turns["floor"]]),
        against=FLOOR,
    )
    for who, shares in {
        "the webhook": [turn.share(turn.webhook_seconds) for turn in ours],
        "RabbitMQ": [turn.share(turn.broker_seconds) for turn in ours],
        "who posts": [turn.share(turn.load.cpu_seconds) for turn in ours],
    }.items():
        yield Figure.of(
            f"{NAME}: part of {who} in the processor time, over {MOST} connections", "%", shares, against="all"
        )
    yield Figure.of(
        f"{NAME}: highest load",
        "requests a second",
        [turn.rate for turn in ours],
        against=f"itself, over {MOST} connections, on this machine",
    )


def _batches(found: Stage, plan: Plan) -> Iterator[Figure]:
    say(f"  POSTs of {ITEMS} items ...")
    arms = {
        "one": _arms(found, found.one, 16, plan.seconds)["webhook"],
        "many": _arms(found, found.many, 16, plan.seconds)["webhook"],
    }
    turns = take_turns(arms, plan.repetitions)
    yield Figure.of(
        f"{NAME}: a POST of {ITEMS} items, over 16 connections",
        "times a POST of one",
        ratios([turn.rate for turn in turns["one"]], [turn.rate for turn in turns["many"]]),
        against="itself with one item",
        aim=at_most(2),
    )


def _open(found: Stage, plan: Plan) -> Iterator[Figure]:
    """Post at shares of the highest load, which is measured anew each time: the machine has other things to do."""
    say(f"  At {', '.join(map(str, SHARES))} of the highest load, whatever is answered ...")
    fastest = partial(loads.as_fast_as_it_answers, requests=found.one, connections=MOST, seconds=plan.seconds)
    taken: list[float] = []
    answered: dict[float, list[Load]] = {share: [] for share in SHARES}
    for _ in range(plan.repetitions):
        highest = found.play(found.webhook, fastest).rate
        for share in SHARES:
            answered[share].append(found.play(found.webhook, _at(found.one, share * highest, plan)).load)
        taken.append(answered[MOST_SHARE][-1].rate / highest)
    for share, those in answered.items():
        for name, unit, samples, aim in (
            ("99 of 100 answers within", "ms", [load.p99_ms for load in those], at_most(50) if share == HALF else None),
            (
                "all answers within",
                "ms",
                [load.longest_ms for load in those],
                at_most(1_000) if share == MOST_SHARE else None,
            ),
        ):
            yield Figure.of(
                f"{NAME}: at {share:g} of the highest load, {name}", unit, samples, against="itself", aim=aim
            )
    yield Figure.of(
        f"{NAME}: at {MOST_SHARE:g} of the highest load, answered with 202",
        "times the highest load",
        taken,
        against="itself; the rest was answered with 503",
    )


def _at(requests: Requests, rate: float, plan: Plan) -> Callable[[int], Load]:
    return partial(
        loads.at_a_rate, requests=requests, rate=rate, connections=OPEN_CONNECTIONS, seconds=plan.seconds + 2
    )


def _arms(found: Stage, requests: Requests, connections: int, seconds: float) -> dict[str, Callable[[], Turn]]:
    post = partial(loads.as_fast_as_it_answers, requests=requests, connections=connections, seconds=seconds)
    return {
        "webhook": partial(found.play, found.webhook, post),
        "floor": partial(found.play, found.floor, post),
        "stock": partial(found.play, found.stock, post),
    }
