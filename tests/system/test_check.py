"""`entra-sms check` of the whole system: all is fine while everything runs, and what stops is named."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.local.system import System
from tests.support.eventually import eventually
from tests.support.whole_system import await_subscriptions

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]


def check(system: System) -> tuple[int, dict[str, Any]]:
    """Run the command; its exit code, and the verdict by the name of each check."""
    done = subprocess.run(
        [sys.executable, "-m", "console", "check", "--json"],
        env=system.environment(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, {one["name"]: one["verdict"] for one in json.loads(done.stdout)["checks"]}


def test_everything_is_fine_while_everything_runs_and_what_stops_is_named(system: System) -> None:
    system.start_simulator(users=20, groups=3)
    webhook, worker = system.start_webhook(), system.start_worker()
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    await_subscriptions(system)

    def well() -> bool:
        code, verdicts = check(system)
        skipped = {name for name, verdict in verdicts.items() if verdict == "skipped"}
        assert (code, skipped) == (0, {"rabbitmq.bindings"}), verdicts
        assert set(verdicts.values()) == {"fine", "skipped"}
        return True

    eventually(well, what="everything fine")  # the worker notes a subscription after Graph has it

    webhook.kill()
    code, verdicts = check(system)
    assert code == 4
    assert {name for name, verdict in verdicts.items() if verdict == "trouble"} == {"public_url.certificate"}

    worker.kill()
    eventually(lambda: check(system)[1]["rabbitmq.workers"] == "trouble", what="RabbitMQ without a worker")
    assert check(system)[0] == 1  # what cannot be reached, and a worker that is missing
