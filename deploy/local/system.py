"""The whole system on this machine: broker, simulator, webhook over https, workers, each a process of its own.

The demo, the smoke test and the system tests all start it here, with the same commands as a deployment does.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.control import Control
from deploy.local.errors import LocalServiceError
from deploy.local.paths import ROOT
from deploy.local.ports import Reservation
from deploy.local.processes import Ending, Process, log_tail
from deploy.local.runs import Run

_READY_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_BIN = Path(sys.executable).parent
_PROCESS = Ending(grace_seconds=20)


@dataclass
class System:
    """Starts and holds the processes of one run; they end with the run.

    `settings` are further ENTRA_SMS_ settings, by their full names. `public_port` is where Graph finds the webhook, if
    something stands in front of it.
    """

    run: Run
    amqp_url: str
    database_url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    control: Control | None = None
    webhook_port: int = 0
    public_port: int = 0
    _has_certificate: bool = field(default=False, init=False)

    @property
    def directory(self) -> Path:
        return self.run.directory

    def start_simulator(self, *, users: int, groups: int, seed: int = 1, options: tuple[str, ...] = ()) -> Process:
        """Start the simulated Entra and Graph and wait until it serves."""
        folder = self.directory / "simulator"
        state = folder / "simulator.json"
        state.unlink(missing_ok=True)
        company = ["--users", str(users), "--groups", str(groups), "--seed", str(seed)]
        where = ["--port", "0", "--state-directory", str(folder)]
        command = [sys.executable, "-m", "simulator", *company, *options, *where]
        process = self.run.start("simulator", command, env=_plain_environment(), ending=_PROCESS)
        _wait_until(process, lambda: state.exists() and json.loads(state.read_text())["pid"] == process.pid)
        self.control = Control.of(state)
        return process

    def start_webhook(
        self, name: str = "webhook", *, port: int | None = None, wait: bool = True, **settings: str
    ) -> Process:
        """Start a webhook with a certificate of the simulator's CA; unless told otherwise, wait for its connection.

        One without a `port` takes `webhook_port`, a free one if that is not set yet.
        """
        folder = self.directory / "simulator"
        if not self._has_certificate:
            self._make_certificate(folder)
            self._has_certificate = True
        if port is None and not self.webhook_port:
            with Reservation(1) as reservation:
                self.webhook_port = reservation.ports[0]
        environment = self.environment() | {
            "ENTRA_SMS_WEBHOOK_BIND": f"127.0.0.1:{port or self.webhook_port}",
            "ENTRA_SMS_WEBHOOK_TLS_CERTIFICATE": str(folder / "webhook.pem"),
            "ENTRA_SMS_WEBHOOK_TLS_KEY": str(folder / "webhook.key"),
        }
        command = [str(_BIN / "gunicorn"), "-c", "deploy/gunicorn.conf.py", "webhook.wsgi:app"]
        process = self.run.start(name, command, env=environment | settings, ending=_PROCESS)
        if wait:
            _wait_until(process, lambda: is_connected(process))
        return process

    def start_worker(self, name: str = "worker", *, wait: bool = True, **settings: str) -> Process:
        """Start a worker; unless told otherwise, wait until it consumes."""
        command = [sys.executable, "-m", "worker"]
        process = self.run.start(name, command, env=self.environment() | settings, mark="-m worker", ending=_PROCESS)
        if wait:
            _wait_until(process, lambda: is_connected(process))
        return process

    def add_tenant(self, name: str = "Nordwind") -> None:
        """Add the simulator's tenant by the command that an operator types.

        Raises:
            LocalServiceError: the command failed; with what it printed.
        """
        control = self.simulated()
        secret_file = self.directory / "client-secret"
        secret_file.touch(mode=0o600)
        secret_file.write_text(control.client_secret)
        identity = ["--tenant-id", control.tenant_id, "--client-id", control.client_id]
        self.entra_sms(
            "tenants", "add", *identity, "--client-secret-file", str(secret_file), "--name", name,
            "--domain", control.domain, "--default-region", "PL",
            "--agreement-reference", "DEMO-1", "--agreement-date", "2026-01-15",
        )  # fmt: skip

    def entra_sms(self, *arguments: str) -> str:
        """Run the command line and return its standard output.

        Raises:
            LocalServiceError: it ended with another status than 0.
        """
        command = [str(_BIN / "entra-sms"), *arguments]
        done = subprocess.run(
            command, env=self.environment(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
        )
        with (self.directory / "logs" / "console.log").open("a") as log:
            log.write(f"$ entra-sms {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise LocalServiceError(f"entra-sms {' '.join(arguments[:2])} ended with status {done.returncode}: {said}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Return the environment of the product's processes: the settings table, and nothing of the shell's."""
        control = self.simulated()
        settings = {
            "ENTRA_SMS_DATABASE_URL": self.database_url,
            "ENTRA_SMS_AMQP_URL": self.amqp_url,
            "ENTRA_SMS_SECRET_KEY_FILE": str(self._secret_key_file()),
            "ENTRA_SMS_GRAPH_URL": control.url,
            "ENTRA_SMS_LOGIN_URL": control.url,
            "ENTRA_SMS_CA_BUNDLE": control.ca_file,
            "ENTRA_SMS_LOG_FORMAT": "text",
        }
        if port := self.public_port or self.webhook_port:
            settings["ENTRA_SMS_PUBLIC_URL"] = f"https://localhost:{port}"
        return _plain_environment() | settings | dict(self.settings)

    def simulated(self) -> Control:
        if self.control is None:
            raise LocalServiceError("The simulator is to be started first.")
        return self.control

    def _secret_key_file(self) -> Path:
        path = self.directory / "secret-key"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(32))
        return path

    def _make_certificate(self, folder: Path) -> None:
        command = [sys.executable, "-m", "simulator", "certificate"]
        names = ["--name", "webhook", "--host", "localhost", "--state-directory", str(folder)]
        subprocess.run([*command, *names], env=_plain_environment(), cwd=ROOT, check=True, capture_output=True)


def is_connected(process: Process) -> bool:
    """Whether a webhook or worker has been connected to the broker since it started, by its own words."""
    return "broker_connected" in process.log.read_text(errors="replace")


def _plain_environment() -> dict[str, str]:
    """Return the shell's environment without settings of ours, proxies and other CA bundles."""
    unwanted = ("ENTRA_SMS_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(unwanted) and not name.lower().endswith("_proxy")
    }


def _wait_until(process: Process, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not is_ready():
        process.require_alive()
        if time.monotonic() > deadline:
            raise LocalServiceError(f"{process.name} did not get ready. {log_tail(process.log)}")
        time.sleep(_LOOK_SECONDS)
