"""The life of a credential with the real processes: changed without anybody noticing, and its end told once."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.local.processes import Process
from deploy.local.system import System
from tests.support.certificates import self_signed
from tests.support.eventually import eventually
from tests.support.running_worker import Queues
from tests.support.whole_system import await_equality, rows

pytestmark = pytest.mark.system

RESULTS = "sync.results"
NEW = "a-new~secret.of-the.test"


def started(system: System) -> list[Process]:
    """Start everything, with two workers that have read the directory once; access tokens are too short to be kept."""
    system.start_simulator(users=40, groups=4, options=("--knob", "access_token_lifetime_seconds=200"))
    workers = [system.start_worker(name) for name in ("worker-1", "worker-2")]
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    return workers


def credentials(system: System, **changed: Any) -> None:
    system.simulated().call("PUT", "credentials", changed)


def refused_sign_ins(system: System) -> int:
    """Return how many sign-ins Entra has refused, of whomever."""
    requests = system.simulated().call("GET", "statistics")["requests"]
    by_status: dict[str, int] = requests["POST /<tenant>/oauth2/v2.0/token"]
    return sum(times for status, times in by_status.items() if status != "200")


def change(system: System, seed: int) -> None:
    system.simulated().call("POST", "random-changes", {"count": 20, "seed": seed})


def test_a_credential_is_changed_under_way_and_no_worker_is_ever_refused(system: System, tmp_path: Path) -> None:
    workers = started(system)
    secret_file, pem = tmp_path / "new", tmp_path / "certificate.pem"
    secret_file.write_text(NEW)
    certificate = self_signed()
    certificate.written(pem)

    # A secret of which Entra's servers learn late, while the old one is in use.
    credentials(system, new_client_secret=NEW)
    system.simulated().call("PUT", "faults", {"unknown_new_credential_next": 2})
    changing = subprocess.Popen(
        [sys.executable, "-m", "console", "tenants", "credential", "--client-secret-file", str(secret_file)],
        env=system.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    change(system, 1)
    await_equality(system)
    said, _ = changing.communicate(timeout=120)
    assert (changing.returncode, "signs in with its new client secret" in said) == (0, True)
    fired = system.simulated().fired()["unknown_new_credential_next"]
    assert fired == 2
    credentials(system, client_secret=NEW)  # the old one is deleted
    change(system, 2)
    await_equality(system)

    # A certificate in place of the secret, which is deleted then.
    credentials(system, certificate_pem=certificate.pem.decode())
    system.entra_sms("tenants", "credential", "--certificate-file", str(pem))
    credentials(system, client_secret="nobody knows it")
    change(system, 3)
    await_equality(system)

    sealed = [row["credential"] for row in rows(system, "SELECT credential FROM tenants")]
    assert len(sealed) == 1
    assert refused_sign_ins(system) == fired, "a worker was refused"
    for worker in workers:
        assert "access_failed" not in worker.log.read_text()
    assert [row["state"] for row in rows(system, "SELECT state FROM tenants")] == ["active"]


def test_the_end_of_a_credential_is_told_once_by_two_workers(system: System) -> None:
    workers = started(system)
    for worker in workers:
        worker.stop()
    queues = Queues(system.amqp_url)
    while queues.take(RESULTS) is not None:
        pass
    day = (datetime.now(UTC) + timedelta(days=6)).date()
    system.entra_sms("tenants", "credential", "--expires", day.isoformat())

    workers = [system.start_worker(f"worker-{number}") for number in (3, 4)]
    told = eventually(lambda: queues.take(RESULTS), within_seconds=60, what="the warning")

    body = json.loads(told.body)
    assert (body["what"], body["tenant"]) == ("credential_expires", "Nordwind")
    assert f"expires on {day}" in body["summary"]
    for worker in workers:  # each has looked, and ends when it has said everything
        worker.stop()
    lines = "".join(worker.log.read_text() for worker in workers)
    assert lines.count("credential_expires") == 1
    assert queues.take(RESULTS) is None
    shown = system.entra_sms("tenants", "show")
    assert day.isoformat() in shown
