"""`python -m benchmarks.full_round_worker`: both streams of one tenant read in full, as a worker process does it.

Everything is the worker's own but the broker: the settings, the client with its access token, leases, transactions, and
a thread a stream. Prints the seconds from the first request to the last commit and the most memory the process had.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any, cast
from uuid import UUID

import click
import structlog
from sqlalchemy import func, select

from benchmarks.memory import peak_mib
from common.broker.outgoing import Outgoing
from common.broker.publisher import Publisher
from common.clock import utc_now
from common.config import Settings, load
from common.db import tenants
from common.db.engine import Database
from common.db.tables import contacts, groups, memberships, streams
from common.graph.credentials import ClientSecret
from common.messages import Mode, Reason, Stream, SyncRequest
from common.secrets import Vault
from worker.advance import Advancer
from worker.clients import Clients
from worker.leases import StreamKey

TENANT_ID = str(UUID(int=1))


class NoBroker:
    """Stands in for the publisher: a turn that ends before its work does is simply followed by another one."""

    def publish(self, message: Outgoing, *, timeout_seconds: float = 0.0) -> None:
        """Nobody is told."""

    def publish_all(self, messages: Sequence[Outgoing], *, timeout_seconds: float = 0.0) -> None:
        """Nobody is told."""


class Streams:
    """Advances both streams of the tenant until their full rounds have ended."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._advancer = Advancer(
            settings,
            database,
            cast("Publisher", NoBroker()),
            Clients(settings),
            "benchmark",
            has_waiting=lambda _: False,
            stopping=lambda: False,
            executor=ThreadPoolExecutor(settings.worker_threads, thread_name_prefix="ahead"),
        )
        self._errors: list[BaseException] = []

    def read_in_full(self) -> float:
        """Return the seconds that it took."""
        began = time.perf_counter()
        threads = [threading.Thread(target=self._read, args=(stream,)) for stream in Stream]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]
        return time.perf_counter() - began

    def _read(self, stream: Stream) -> None:
        key = StreamKey(TENANT_ID, stream)
        request = SyncRequest(TENANT_ID, stream, Reason.OPERATOR, utc_now(), mode=Mode.FULL)
        try:
            while not self._has_ended(key, request):
                self._advancer.advance(key, [request])
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            self._errors.append(error)

    def _has_ended(self, key: StreamKey, request: SyncRequest) -> bool:
        mine = (streams.c.tenant_id == key.tenant_id, streams.c.stream == key.stream)
        with self._database.read() as connection:
            row = connection.execute(select(streams).where(*mine)).mappings().one()
        return row["last_full_began_at"] is not None and row["last_full_began_at"] >= request.requested_at


def add_tenant(settings: Settings, database: Database) -> None:
    with database.write() as connection:
        tenants.save(
            connection,
            tenant_id=TENANT_ID,
            name="Benchmark",
            domain=None,
            client_id=TENANT_ID,
            sealed_credential=tenants.seal_credential(Vault(settings), ClientSecret("a secret")),
            default_region="PL",
            agreement=tenants.Agreement("none", date(2026, 1, 1)),
            now=utc_now(),
        )


@click.command()
@click.option("--again", is_flag=True, help="Read everything once more: nothing has changed.")
def main(again: bool) -> None:
    """Read the directory that the settings in the environment name into their database, and tell what it took."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = load(os.environ)
    database = Database.from_settings(settings)
    add_tenant(settings, database)
    reader = Streams(settings, database)
    cpu_seconds = time.process_time()
    said: dict[str, Any] = {"seconds": reader.read_in_full()}
    said["cpu_seconds"] = time.process_time() - cpu_seconds
    if again:
        said["again_seconds"] = reader.read_in_full()
    said["peak_mib"] = peak_mib()
    with database.read() as connection:
        said["rows"] = [
            connection.scalar(select(func.count()).select_from(one)) for one in (contacts, groups, memberships)
        ]
    print(json.dumps(said))


if __name__ == "__main__":
    main()
