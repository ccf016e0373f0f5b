"""One run from its beginning to what was seen: webhook, those who post, strangers, and the broker's bad weather."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from deploy.local.processes import Process
from deploy.local.runs import Run
from tests.load import webhook as webhooks
from tests.load.proof import Seen, ids_in_queue
from tests.load.weather import Weather
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, address_of, through

LOOK_SECONDS = 0.1
END_SECONDS = 60.0


@dataclass(frozen=True)
class Plan:
    """How long, how much, over how many connections, among how many slow clients, against how much of a webhook."""

    seconds: float
    rate: float
    connections: int
    slow_clients: int
    processes: int
    threads: int


def rehearse(run: Run, amqp_url: str, plan: Plan) -> tuple[Seen, Mapping[str, int]]:
    """Carry out the plan with a broker that holds nothing else; what was seen, and how often each fault hit."""
    folder = Path(tempfile.mkdtemp(prefix="webhook-", dir=run.directory))
    with (
        FaultProxy(address_of(amqp_url)) as proxy,
        webhooks.running(folder, through(proxy, amqp_url), processes=plan.processes, threads=plan.threads) as webhook,
    ):
        target = folder / "target.json"
        webhook.target.write(target)
        honest = _Posting.started(run, "honest", target, plan.rate, plan.seconds, plan.connections)
        strangers = _Posting.started(run, "strangers", target, plan.seconds, plan.slow_clients)
        weather = Weather(proxy)
        began = time.monotonic()
        while honest.goes_on() or strangers.goes_on():
            weather.pass_to((time.monotonic() - began) / plan.seconds)
            webhook.look()
            time.sleep(LOOK_SECONDS)
        weather.pass_to(1.0)
        eventually(
            lambda: webhook.lives() and webhook.accepts() and webhook.answers_handshake(),
            within_seconds=END_SECONDS,
            what="a webhook that takes notifications and answers the handshake in the end",
        )
        webhook.running.terminate()
        seen = Seen(
            posted=[tuple(one) for one in honest.result()],
            strangers=strangers.result(),
            queued=ids_in_queue(amqp_url),
            rss_mib=webhook.rss_mib,
            faults_missing=weather.missing(),
            defects=webhook.defects(),
            seconds=plan.seconds,
        )
        return seen, {str(fault): count for fault, count in proxy.fired.items()}


@dataclass(frozen=True)
class _Posting:
    """Those who post, in a process of their own, and the file of what they saw."""

    process: Process
    file: Path

    @classmethod
    def started(cls, run: Run, name: str, target: Path, *numbers: float) -> Self:
        file = target.with_name(f"{name}.json")
        command = [sys.executable, "-m", f"tests.load.{name}", str(target), str(file), *map(str, numbers)]
        return cls(run.start(name, command, mark=f"tests.load.{name}"), file)

    def goes_on(self) -> bool:
        return self.process.exit_status is None

    def result(self) -> Any:
        if self.process.exit_status != 0:
            raise AssertionError(f"{self.process.name} failed: {self.process.log.read_text()}")
        return json.loads(self.file.read_text())
