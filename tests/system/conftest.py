"""The real commands as processes: the webhook alone, with TLS and a broker that may die; and the whole system."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from deploy.local.ports import Reservation
from deploy.local.runs import Run
from deploy.local.system import System
from tests.support.eventually import eventually
from tests.support.notifications import SECRET_KEY
from tests.support.whole_system import IMPATIENT

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 2.0
"""What Graph is promised: any answer, also a refusal, comes within this time."""


@dataclass
class Authority:
    """A certificate authority of the tests and what it made for the webhook."""

    bundle: Path
    certificate: Path
    key: Path


@dataclass
class Webhook:
    """A running webhook, and a client that trusts its certificate."""

    process: subprocess.Popen[bytes]
    url: str
    metrics_url: str
    log: Path
    bundle: Path
    session: requests.Session = field(default_factory=requests.Session)

    def post(self, path: str, **named: Any) -> requests.Response:
        return self.session.post(f"{self.url}{path}", verify=str(self.bundle), timeout=ANSWER_SECONDS, **named)

    def get(self, path: str) -> requests.Response:
        return self.session.get(f"{self.url}{path}", verify=str(self.bundle), timeout=ANSWER_SECONDS)

    def metrics(self) -> dict[str, float]:
        """The sum of all processes, by name and labels."""
        lines = requests.get(self.metrics_url, timeout=ANSWER_SECONDS).text.splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def answers(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"The webhook ended with {self.process.returncode}: {self.log.read_text()}")
        try:
            return self.get("/health/live").ok
        except requests.RequestException:
            return False

    def kill(self) -> None:
        self.session.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.session.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


Start = Callable[..., Webhook]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder = tmp_path_factory.mktemp("authority")
    made = Authority(folder / "authority.pem", folder / "webhook.pem", folder / "webhook.key")
    ca = trustme.CA()
    leaf = ca.issue_cert("127.0.0.1", "localhost")
    ca.cert_pem.write_to_path(str(made.bundle))
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(str(made.certificate), append=True)
    leaf.private_key_pem.write_to_path(str(made.key))
    return made


@contextmanager
def running_webhook(authority: Authority, folder: Path, amqp_url: str, **settings: str) -> Iterator[Webhook]:
    """A webhook that answers; whatever happens, it is gone afterwards."""
    with Reservation(2) as reservation:
        port, metrics_port = reservation.ports
        log = folder / "webhook.log"
        environment = (
            environment_for(authority, folder, port, metrics_port) | {"ENTRA_SMS_AMQP_URL": amqp_url} | settings
        )
        process = spawn(environment, log)
        metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
        webhook = Webhook(process, f"https://127.0.0.1:{port}", metrics_url, log, authority.bundle)
        try:
            eventually(webhook.answers, within_seconds=60, what="the webhook")
            yield webhook
        finally:
            webhook.kill()


def environment_for(authority: Authority, folder: Path, port: int, metrics_port: int) -> dict[str, str]:
    return dict(os.environ) | {
        "TMPDIR": str(folder),
        "ENTRA_SMS_SECRET_KEY": SECRET_KEY,
        "ENTRA_SMS_WEBHOOK_BIND": f"127.0.0.1:{port}",
        "ENTRA_SMS_WEBHOOK_TLS_CERTIFICATE": str(authority.certificate),
        "ENTRA_SMS_WEBHOOK_TLS_KEY": str(authority.key),
        "ENTRA_SMS_WEBHOOK_PROCESSES": "2",
        "ENTRA_SMS_WEBHOOK_THREADS": "4",
        "ENTRA_SMS_METRICS_PORT": str(metrics_port),
    }


def spawn(environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start the command as the documentation gives it."""
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "webhook.wsgi:app"]
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=output, stderr=output)


@pytest.fixture(scope="session")
def unused_amqp_url() -> Iterator[str]:
    """The address of a broker that is not there."""
    with Reservation(1) as reservation:
        yield f"amqp://guest:guest@127.0.0.1:{reservation.ports[0]}/%2F"


@pytest.fixture(scope="session")
def idle_webhook(
    authority: Authority, unused_amqp_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Webhook]:
    """One that has no broker, for the tests that need none and leave it as it was."""
    with running_webhook(authority, tmp_path_factory.mktemp("idle"), unused_amqp_url) as webhook:
        yield webhook


@pytest.fixture
def start_webhook(authority: Authority, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda url, **settings: stack.enter_context(running_webhook(authority, tmp_path, url, **settings))


@pytest.fixture
def ended_webhook(authority: Authority, tmp_path: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """Start one that cannot work: how it ended, and what it said."""
    with Reservation(2) as reservation:
        environment = environment_for(authority, tmp_path, *reservation.ports)

        def end(**settings: str) -> tuple[int, str]:
            log = tmp_path / "ended.log"
            process = spawn(environment | settings, log)
            try:
                return process.wait(60), log.read_text()
            finally:
                process.kill()

        yield end


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    """For tests that write to the socket themselves."""
    return ssl.create_default_context(cafile=str(authority.bundle))


@pytest.fixture
def system(tmp_path: Path, amqp_url: str, database_url: str) -> Iterator[System]:
    """The whole system, nothing of it started yet; what the test starts ends with the test."""
    with Run.claim("system", var=tmp_path) as run:
        yield System(run, amqp_url, database_url, IMPATIENT)
