"""The webhook as production runs it, as a process of a test: gunicorn with TLS, and a client that trusts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from deploy.local.ports import Reservation
from tests.support.eventually import eventually
from tests.support.notifications import SECRET_KEY

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


def make_authority(folder: Path) -> Authority:
    """Make an authority and a certificate for the webhook, as files in `folder`."""
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
        "ENTRA_SMS_METRICS_BIND": f"127.0.0.1:{metrics_port}",
    }


def spawn(environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start the command as the documentation gives it."""
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", "webhook.wsgi:app"]
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=output, stderr=output)
