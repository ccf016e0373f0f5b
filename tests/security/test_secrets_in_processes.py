"""What the running processes show to their neighbours: arguments, environment, logs, messages, pages."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from common import config
from common.client_state import ClientStates
from common.messages import Stream
from deploy.local.runs import Run
from deploy.local.system import System
from tests.support.eventually import eventually
from tests.support.notifications import SECRET_KEY, change
from tests.support.observed import processes_of
from tests.support.searching import files_below, holding, holds
from tests.support.webhook_process import ROOT
from tests.support.whole_system import IMPATIENT, await_equality, await_subscriptions

pytestmark = pytest.mark.system

SECRETS_FROM_FILES = ("ENTRA_SMS_DATABASE_URL", "ENTRA_SMS_AMQP_URL", "ENTRA_SMS_SECRET_KEY")
CHATTY = {"ENTRA_SMS_LOG_LEVEL": "debug"}


class SystemOfFiles(System):
    """The whole system with every secret in a file, as in a deployment."""

    def environment(self) -> dict[str, str]:
        found = super().environment()
        for name in SECRETS_FROM_FILES:
            if name in found:
                path = self.directory / f"file-of-{name.lower()}"
                path.touch(mode=0o600)
                path.write_text(found.pop(name) + "\n")
                found[f"{name}_FILE"] = str(path)
        return found


@pytest.fixture
def system(tmp_path: Path, amqp_url: str, postgresql_url: str) -> Iterator[SystemOfFiles]:
    with Run.claim("system", var=tmp_path) as run:
        yield SystemOfFiles(run, amqp_url, postgresql_url, {**IMPATIENT, **CHATTY})


def passwords(system: System) -> dict[str, str]:
    """Everything that must not be seen."""
    found = {
        "client secret": system.simulated().client_secret,
        "server key": (system.directory / "secret-key").read_text(),
        "password of the broker": str(urlsplit(system.amqp_url).password),
        "password of the database": str(urlsplit(system.database_url).password),
    }
    assert all(len(value) > 8 for value in found.values())
    return found


@contextmanager
def watching_arguments() -> Iterator[set[bytes]]:
    """Collect the arguments of all processes of this machine, again and again."""
    seen: set[bytes] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue  # it ended meanwhile

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def test_no_secret_is_in_arguments_environments_logs_messages_or_the_database(
    system: SystemOfFiles, local_run: Run
) -> None:
    with watching_arguments() as arguments:
        system.start_simulator(users=40, groups=4)
        webhook, worker = system.start_webhook(), system.start_worker()
        system.add_tenant()
        system.entra_sms("sync", "--full", "--wait")
        await_subscriptions(system)
        system.simulated().call("POST", "random-changes", {"count": 20, "seed": 1})
        await_equality(system)
        ours = processes_of(system.directory)
        environments = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in ours}
    hidden = passwords(system)

    # The search sees what there is to see.
    assert {webhook.pid, worker.pid} < ours
    assert any(b"tenants\0add" in found and system.simulated().client_id.encode() in found for found in arguments)
    assert all(b"ENTRA_SMS_SECRET_KEY_FILE" in environments[pid] for pid in (webhook.pid, worker.pid))
    key_file = system.directory / "file-of-entra_sms_database_url"
    assert holding([key_file], hidden["password of the database"]) == [key_file]

    logs = [webhook.log, worker.log]
    broker_files = [
        path
        for path in files_below(local_run.directory / "rabbitmq")
        if "/mnesia/" in str(path) or "/log/" in str(path)
    ]
    assert broker_files
    for name, secret in hidden.items():
        assert not any(holds(found, secret) for found in arguments), f"the {name} is an argument"
        assert not [pid for pid, found in environments.items() if holds(found, secret)], f"the {name} is an environment"
        assert holding(logs, secret) == [], f"the {name} is in a log"
    for name in ("client secret", "server key", "password of the database"):
        assert holding(broker_files, hidden[name]) == [], f"the {name} is in a message"

    people = [user for user in system.simulated().directory()["users"] if user.get("userPrincipalName")]
    told = [one[key] for one in people for key in ("userPrincipalName", "mobilePhone") if len(one.get(key) or "") > 8]
    assert len(told) > 40
    assert [one for one in told if holding(logs, one) or holding(broker_files, one)] == []


# Pages of the webhook


STATES = ClientStates.from_settings(config.load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY}))
TELLTALES = (
    "Traceback",
    str(ROOT),
    "site-packages",
    ".py",
    "werkzeug",
    "flask",
    "gunicorn",
    "python",
    "amqp://",
    "127.0.0.1:",
)


def raw(webhook: Any, sent: bytes) -> str:
    address = urlsplit(webhook.url)
    context = ssl.create_default_context(cafile=str(webhook.bundle))
    with (
        socket.create_connection((address.hostname, address.port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=address.hostname) as connection,
    ):
        connection.sendall(sent)
        received = b""
        while part := connection.recv(65_536):
            received += part
    return received.decode("latin-1")


def test_no_page_of_the_webhook_tells_a_secret_or_what_it_is_made_of(
    start_webhook: Any, amqp_url: str, tmp_path: Path
) -> None:
    password = secrets.token_hex(16)
    parts = urlsplit(amqp_url)
    broken = parts._replace(netloc=f"{parts.username}:{password}@{parts.hostname}:{parts.port}").geturl()
    path = "/graph/notifications"
    item = change(STATES, Stream.USERS)
    for url in (amqp_url, broken):
        webhook = start_webhook(url)
        genuine = webhook.post(path, json={"value": [item]})
        assert genuine.status_code == (202 if url == amqp_url else 503)
        said = [
            f"{answer.status_code} {answer.headers} {answer.text}"
            for answer in (
                genuine,
                webhook.get("/"),
                webhook.get(path),
                webhook.get("/nowhere/../../etc/passwd"),
                webhook.get("/health/live"),
                webhook.get("/health/ready"),
                webhook.post("/health/live"),
                webhook.post(path, data=b"{", headers={"Content-Type": "application/json"}),
                webhook.post(path, json={"value": item}),
                webhook.post(path, data=b"<x/>", headers={"Content-Type": "text/xml"}),
                webhook.post(f"{path}?validationToken=%00%ff"),
                webhook.post(f"{path}?validationToken=" + "a" * 5_000),
            )
        ]
        said += [
            raw(webhook, b"GET / HTTP/9.9\r\n\r\n"),
            raw(webhook, b"\x00\x01\x02\r\n\r\n"),
            raw(
                webhook,
                b"POST " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 2000000\r\nConnection: close\r\n\r\n",
            ),
            raw(webhook, b"POST " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        ]
        metrics = requests.get(webhook.metrics_url, timeout=30).text
        assert "entra_sms_webhook_posts_total" in metrics
        for one in [*said, metrics]:
            for secret in (SECRET_KEY, password, str(parts.password), item["clientState"], item["resourceData"]["id"]):
                assert secret not in one
        assert len(said) == 16
        for one in said:
            assert not [word for word in TELLTALES if word.lower() in one.lower()], one
        assert not holding([webhook.log], password)
        webhook.terminate()


def test_what_the_simulator_writes_down_for_its_owner_nobody_else_may_read(system: SystemOfFiles) -> None:
    system.start_simulator(users=1, groups=1)
    folder = system.directory / "simulator"
    eventually((folder / "simulator.json").exists)
    for name in ("simulator.json", "ca.key", "simulator.key"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name
