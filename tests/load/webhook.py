"""The webhook under load: what it answers to a probe, and what its processes hold of memory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import requests

from common import config
from common.client_state import ClientStates
from common.messages import Stream
from tests.load.wire import PATH, Target, notification, object_id
from tests.support import webhook_process
from tests.support.eventually import eventually
from tests.support.notifications import SECRET_KEY, TENANT

MIB = 1024 * 1024


@dataclass
class Webhook:
    """A running webhook."""

    running: webhook_process.Webhook
    target: Target
    rss_mib: list[float] = field(default_factory=list)
    """Resident memory of its processes together, as `look` has seen it."""

    def look(self) -> None:
        self.rss_mib.append(sum(map(_rss_bytes, _family(self.running.process.pid))) / MIB)

    def defects(self) -> list[str]:
        """Its log lines that are errors, or no log lines."""
        found = []
        for line in self.running.log.read_text().splitlines():
            try:
                is_error = json.loads(line)["level"] == "error"
            except (ValueError, KeyError):
                is_error = True
            if is_error:
                found.append(line)
        return found

    def lives(self) -> bool:
        return self.running.process.poll() is None

    def answers_handshake(self) -> bool:
        word = str(uuid4())
        try:
            answer = self._post(f"?validationToken={word}", b"")
        except requests.RequestException:
            return False
        return answer.status_code == 200 and answer.text == word

    def accepts(self) -> bool:
        """Whether a notification is confirmed now."""
        try:
            return self._post("", notification(self.target, object_id(0, 1))).status_code == 202
        except requests.RequestException:
            return False

    def _post(self, query: str, body: bytes) -> requests.Response:
        headers = {"Content-Type": "application/json"}
        with requests.Session() as session:
            session.trust_env = False
            address = f"{self.running.url}{PATH}{query}"
            return session.post(address, data=body, headers=headers, verify=self.target.bundle, timeout=15)


@contextmanager
def running(folder: Path, amqp_url: str, *, processes: int, threads: int) -> Iterator[Webhook]:
    """A webhook that takes notifications, with its target in `folder`."""
    authority = webhook_process.make_authority(folder)
    settings = {"ENTRA_SMS_WEBHOOK_PROCESSES": str(processes), "ENTRA_SMS_WEBHOOK_THREADS": str(threads)}
    with webhook_process.running_webhook(authority, folder, amqp_url, **settings) as started:
        address = urlsplit(started.url)
        state = ClientStates.from_settings(config.load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY})).make(TENANT, Stream.USERS)
        target = Target(str(address.hostname), address.port or 0, str(authority.bundle), TENANT, state)
        webhook = Webhook(started, target)
        eventually(webhook.accepts, within_seconds=60, what="a webhook that is connected")
        yield webhook


def _family(pid: int) -> list[int]:
    """The process and its children."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *map(int, children)]


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0  # it has just ended
