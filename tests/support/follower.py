"""The consumer of docs/events.md as a process of its own, what it made of the events, and what the book shows."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pika
from sqlalchemy import select

from common import events, topology
from common.db import published
from common.db.engine import Database
from common.db.tables import contacts, groups, memberships

DOCUMENT = Path(__file__).parents[2] / "docs" / "events.md"
QUEUE = "sms-platform"
Copy = tuple[dict[str, Any], dict[str, Any], set[tuple[str, str]]]
"""People by id, groups by id, and memberships as (group id, member id)."""


def source() -> str:
    """Return the one program that the document shows."""
    [program] = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return str(program)


class Follower:
    """A consumer that may be killed and started again; its copy stays."""

    def __init__(self, folder: Path, amqp_url: str) -> None:
        self._folder = folder
        self._amqp_url = amqp_url
        self._copy = folder / "copy.sqlite"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "consumer.py").write_text(source())

    def start(self) -> None:
        """Start it; when this returns its queue is bound."""
        command = [sys.executable, str(self._folder / "consumer.py"), self._amqp_url, QUEUE, str(self._copy)]
        log = (self._folder / "consumer.log").open("ab")
        with log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said == b"ready\n", (self._folder / "consumer.log").read_text()

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def last_sequence(self, object_id: str) -> int:
        """Return the number of the last event of a person or group that was applied, 0 before the first."""
        with closing(sqlite3.connect(self._copy)) as connection:
            row = connection.execute("SELECT sequence FROM object WHERE id = ?", (object_id,)).fetchone()
        return int(row[0]) if row else 0

    def copy_of(self, tenant_id: str) -> Copy:
        with closing(sqlite3.connect(self._copy)) as connection:
            found: dict[str, dict[str, Any]] = {"contact": {}, "group": {}}
            query = "SELECT noun, id, body FROM object WHERE tenant = ? AND body IS NOT NULL"
            for noun, object_id, body in connection.execute(query, (tenant_id,)):
                found[noun][object_id] = json.loads(body)
            edges = connection.execute("SELECT team, member FROM membership WHERE tenant = ? AND shows", (tenant_id,))
            return found["contact"], found["group"], set(edges)


@contextmanager
def following(folder: Path, amqp_url: str) -> Iterator[Follower]:
    """A consumer that runs, where workers have declared their exchanges before."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        topology.declare(connection.channel())
    follower = Follower(folder, amqp_url)
    try:
        follower.start()
        yield follower
    finally:
        follower.kill()


def visible_book(database: Database, tenant_id: str) -> Copy:
    """Return what the book shows, as consumers see it."""
    with database.read() as connection:
        people = connection.execute(select(contacts).where(contacts.c.tenant_id == tenant_id)).mappings()
        teams = connection.execute(select(groups).where(groups.c.tenant_id == tenant_id)).mappings()
        edges = select(memberships.c.group_id, memberships.c.member_id).where(
            memberships.c.tenant_id == tenant_id, published.is_published()
        )
        return (
            {row["object_id"]: events.contact(dict(row)) for row in people},
            {row["object_id"]: events.group(dict(row)) for row in teams},
            {(row.group_id, row.member_id) for row in connection.execute(edges)},
        )
