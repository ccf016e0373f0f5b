"""A PostgreSQL cluster that a test may kill and bring back with its data, on the port that its clients know."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from deploy.local import packages, postgres
from deploy.local.ports import Reservation
from deploy.local.postgres import Cluster
from deploy.local.processes import Process
from deploy.local.runs import Run
from tests.support.eventually import eventually
from tests.support.observed import children_of, is_gone

_START_SECONDS = 60.0
_DURABLE = {"synchronous_commit": "on", "full_page_writes": "on"}
"""A killed process loses what it did not hand to the kernel; fsync is for machines that die, and stays off."""


class MortalPostgres:
    """Use `mortal_postgres_of`; it is alive when a test gets it, and whoever kills it revives it."""

    def __init__(self, run: Run, port: int) -> None:
        self.folder = run.directory / "postgres"
        self._run = run
        self._installation = packages.ensure(packages.POSTGRESQL)
        self.cluster = Cluster(port, postgres.create(self.folder, self._installation))
        self._process: Process | None = None
        self._lives = count(1)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def kill(self) -> bool:
        """SIGKILL to the server and to each of its backends; return whether it lived until then."""
        if self._process is None or self._process.exit_status is not None:
            return False
        backends = children_of(self._process.pid)
        self._process.kill()
        for backend in backends:
            with suppress(ProcessLookupError):
                os.kill(backend, signal.SIGKILL)
        eventually(lambda: all(is_gone(backend) for backend in backends), what="the end of the backends")
        return True

    def begin(self) -> None:
        """Start the server; it is not ready yet."""
        name = f"postgres-{next(self._lives)}"  # the log of the life before is kept
        self._process = postgres.start_server(
            self._run, self.cluster, self.folder, self._installation, name=name, options=_DURABLE
        )

    def revive(self) -> None:
        self.begin()
        eventually(self.cluster.is_ready, within_seconds=_START_SECONDS, what="PostgreSQL")


@contextmanager
def mortal_postgres_of(run: Run) -> Iterator[MortalPostgres]:
    """A cluster of that run, alive and empty."""
    with Reservation(1) as reservation:
        mortal = MortalPostgres(run, reservation.ports[0])
        mortal.revive()
        yield mortal
