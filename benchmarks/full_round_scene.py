"""What a full round is measured in: a company's pages on a server of their own, and a fresh database for each pull."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from benchmarks.full_round_company import Size, write_pages
from benchmarks.full_round_graph import READY
from common.db.migrations import upgrade
from deploy.local import postgres
from deploy.local.errors import LocalServiceError
from deploy.local.paths import ROOT
from deploy.local.ports import Reservation
from deploy.local.postgres import Cluster
from deploy.local.runs import Run, say
from simulator.certificates import ensure_authority

DATABASES = ("SQLite", "PostgreSQL")
START_SECONDS = 20.0


@dataclass
class Databases:
    """Makes fresh databases, copied from one that was migrated once."""

    folder: Path
    cluster: Cluster

    def prepare(self) -> None:
        upgrade(f"sqlite:///{self.folder / 'template.sqlite3'}")
        with self.cluster.connect() as connection:
            connection.execute("CREATE DATABASE template_of_benchmarks")
        upgrade(self.cluster.url_of("template_of_benchmarks"))

    @contextmanager
    def fresh(self, kind: str) -> Iterator[str]:
        """A database of its own; its address."""
        name = f"benchmark_{uuid.uuid4().hex[:8]}"
        if kind == "SQLite":
            path = self.folder / f"{name}.sqlite3"
            shutil.copyfile(self.folder / "template.sqlite3", path)
            try:
                yield f"sqlite:///{path}"
            finally:
                for file in self.folder.glob(f"{name}*"):
                    file.unlink()
            return
        with self.cluster.connect() as connection:
            made = sql.SQL("CREATE DATABASE {} TEMPLATE template_of_benchmarks").format(sql.Identifier(name))
            connection.execute(made)
        try:
            yield self.cluster.url_of(name)
        finally:
            with self.cluster.connect() as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass
class Scene:
    """A served company and the databases to pull it into."""

    size: Size
    origin: str
    ca_file: Path
    databases: Databases

    def wait_before_answers(self, latency_ms: int) -> None:
        """Let the server answer each request after so long."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(f"{self.origin}/latency/{latency_ms}", context=context):  # noqa: S310 - our own server
            pass

    def pull(
        self, kind: str, command: Sequence[str], *, cwd: Path = ROOT, python: Path = Path(sys.executable)
    ) -> dict[str, Any]:
        """Let a program pull the company into a fresh database, in a process of its own; return what it says.

        Raises:
            LocalServiceError: it failed, or did not pull everything.
        """
        with self.databases.fresh(kind) as database_url:
            done = subprocess.run(
                [python, *command],
                cwd=cwd,
                env=self._environment(database_url),
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode != 0:
            raise LocalServiceError(f"{' '.join(command)} failed: {done.stderr.strip()[-2000:]}")
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        people, groups, memberships = said["rows"]
        if (people, groups) != (self.size.people, self.size.groups) or memberships < self.size.memberships * 0.99:
            raise LocalServiceError(f"{' '.join(command)} pulled {said['rows']} of {self.size}.")
        return said

    def _environment(self, database_url: str) -> Mapping[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "ENTRA_SMS_GRAPH_URL": self.origin,
            "ENTRA_SMS_LOGIN_URL": self.origin,
            "ENTRA_SMS_CA_BUNDLE": str(self.ca_file),
            "ENTRA_SMS_DATABASE_URL": database_url,
            "ENTRA_SMS_SECRET_KEY": "benchmark" * 4,
        }


@contextmanager
def databases(run: Run) -> Iterator[Databases]:
    folder = run.directory / "full-round"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = Databases(folder, postgres.start(run, fresh=True))
    found.prepare()
    try:
        yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scene(size: Size, made: Databases) -> Iterator[Scene]:
    """Write the pages of a company and serve them."""
    say(f"Writing the pages of {size.people:,} people and {size.memberships:,} memberships ...")
    authority = ensure_authority(made.folder)
    certificate, key = authority.issue(made.folder, "graph", ["localhost"])
    with Reservation(1) as reservation:
        port = reservation.ports[0]
        index = made.folder / "index.json"
        write_pages(size, f"https://localhost:{port}", made.folder).save(index)
        arguments = ["--index", str(index), "--port", str(port), "--certificate", str(certificate), "--key", str(key)]
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.full_round_graph", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as server:
            try:
                if server.stdout is None or server.stdout.readline().strip() != READY:
                    raise LocalServiceError("The server of the pages did not start.")
                yield Scene(size, f"https://localhost:{port}", authority.certificate_file, made)
            finally:
                server.terminate()
