"""The HTTP API in tests: in this process for what it answers, and as `entra-sms serve` for how it behaves."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from common.clock import Clock, utc_now
from common.db import api_keys
from common.db.engine import Database
from console.api.app import create_app
from console.reads import letters
from deploy.local.ports import Reservation
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 60.0
Json = dict[str, Any]


def make_key(
    database: Database,
    *tenant_ids: str,
    name: str = "tests",
    all_tenants: bool = False,
    expires_at: datetime | None = None,
) -> str:
    """Make a key for these tenants, or for all; its text."""
    with database.write() as connection:
        opened = None if all_tenants else tenant_ids
        _, text = api_keys.create(
            connection, name=name, tenant_ids=opened, expires_at=expires_at, now=datetime.now(UTC)
        )
    return text


def with_key(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@dataclass
class Api:
    """The application in this process, with the key of a client."""

    database: Database
    client: FlaskClient
    key: str

    def get(self, path: str, *, key: str | None = None, **headers: str) -> TestResponse:
        """Ask; words of `headers` have _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers={**with_key(key or self.key), **named})

    def read(self, path: str) -> Json:
        """Return what is answered to a request that must be answered."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        found: Json = answer.get_json()
        return found

    def pages(self, path: str, limit: int) -> Iterator[list[Json]]:
        """Yield the pages of a list, one request each."""
        cursor: str | None = None
        joined = "&" if "?" in path else "?"
        while True:
            page = self.read(f"{path}{joined}limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
            yield page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return


@contextmanager
def api_in_process(database_url: str, *tenant_ids: str, clock: Clock = utc_now) -> Iterator[Api]:
    """The application on a database of its own for reading, with a key for some tenants."""
    writing = Database.from_url(database_url)
    reading = Database.from_url(database_url, read_only=True)
    letters.teach(reading)
    try:
        key = make_key(writing, *tenant_ids)
        yield Api(reading, create_app(reading, clock).test_client(), key)
    finally:
        reading.close()
        writing.close()


@dataclass
class ApiProcess:
    """A running `entra-sms serve`, and a client of it."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, key: str | None = None, **named: Any) -> requests.Response:
        headers = {**(with_key(key) if key else {}), **named.pop("headers", {})}
        return self.session.get(f"{self.url}{path}", headers=headers, timeout=ANSWER_SECONDS, **named)

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"serve ended with {self.process.returncode}: {self.log.read_text()}")
        try:
            return requests.get(f"{self.url}/health/live", timeout=ANSWER_SECONDS).ok
        except requests.ConnectionError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


def start_api(database_url: str, log: Path, *arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    """Start `entra-sms serve` as its own process."""
    given = {f"ENTRA_SMS_{name.upper()}": value for name, value in settings.items()}
    environment = os.environ | {"ENTRA_SMS_DATABASE_URL": database_url, **given}
    command: Sequence[str] = (sys.executable, "-m", "console", "serve", *arguments)
    with log.open("wb") as file:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL)


@contextmanager
def running_api(database_url: str, folder: Path, **settings: str) -> Iterator[ApiProcess]:
    """`entra-sms serve` as long as the block."""
    with Reservation(1) as reservation:
        bind = f"127.0.0.1:{reservation.ports[0]}"
        process = start_api(database_url, folder / "api.log", "--bind", bind, **settings)
        made = ApiProcess(process, f"http://{bind}", folder / "api.log")
        try:
            eventually(made.is_ready, what="entra-sms serve answers")
            yield made
        finally:
            made.session.close()
            process.kill()
            process.wait()
