"""An advancer on a test's database, with a scripted Graph and a publisher that remembers."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, select

from common.broker.publisher import Publisher
from common.clock import utc_now
from common.config import Settings, load
from common.db.tables import changes, contacts, rechecks, rounds, streams, tenants
from common.messages import Reason, Stream, SyncRequest
from tests.support.book import SECRET_KEY, Book
from tests.support.pen import Pen
from tests.support.recording_publisher import RecordingPublisher
from tests.support.scripted_graph import ScriptedGraph
from worker import leases
from worker.advance import Advancer
from worker.clients import Clients
from worker.leases import StreamKey, Wishes


def settings(**changed: Any) -> Settings:
    values = {"secret_key": SECRET_KEY} | changed
    return load({f"ENTRA_SMS_{name.upper()}": str(value) for name, value in values.items()})


@dataclass
class Bench:
    """One worker at one tenant; `interrupted` and `stopping` are what its surroundings tell it.

    Without an `executor` no page is fetched before it is asked for.
    """

    book: Book
    settings: Settings = field(default_factory=settings)
    clients: Any = field(default_factory=ScriptedGraph)
    publisher: RecordingPublisher = field(default_factory=RecordingPublisher)
    holder: str = "one"
    interrupted: bool = False
    stopping: bool = False
    executor: Executor | None = None

    @property
    def graph(self) -> ScriptedGraph:
        return cast("ScriptedGraph", self.clients)

    @property
    def pen(self) -> Pen:
        return Pen(self.book)

    def advancer(self, holder: str | None = None) -> Advancer:
        return Advancer(
            self.settings,
            self.book.database,
            cast("Publisher", self.publisher),
            cast("Clients", self.clients),
            holder or self.holder,
            has_waiting=lambda _: self.interrupted,
            stopping=lambda: self.stopping,
            executor=self.executor,
        )

    def advance(self, *requests: SyncRequest, stream: Stream = Stream.USERS, holder: str | None = None) -> None:
        """Take one turn at a stream; without requests, because of a notification."""
        wanted = requests or (self.request(stream=stream),)
        self.advancer(holder).advance(StreamKey(self.book.tenant_id, wanted[0].stream), wanted)

    def request(self, reason: Reason = Reason.NOTIFICATION, stream: Stream = Stream.USERS, **more: Any) -> SyncRequest:
        return SyncRequest(self.book.tenant_id, stream, reason, utc_now(), **more)

    def resync(self, *command_ids: str, stream: Stream = Stream.USERS) -> SyncRequest:
        """What an operator's command for a full round becomes: a wish in the stream's row, and a request."""
        return self._wish(stream, lambda now: Wishes(Reason.OPERATOR, now, full_request_ids=command_ids))

    def look(self, *command_ids: str) -> SyncRequest:
        """What an operator's command for a look becomes."""
        return self._wish(Stream.USERS, lambda _: Wishes(request_ids=command_ids))

    def _wish(self, stream: Stream, wishes: Callable[[datetime], Wishes]) -> SyncRequest:
        with self.book.database.write() as connection:
            now = self.book.database.now(connection)
            leases.note_wishes(connection, StreamKey(self.book.tenant_id, stream), wishes(now), now)
        return self.request(Reason.OPERATOR, stream)

    def expire_lease(self) -> None:
        """Let the lease run out, as after a crash."""
        self.book.stream(Stream.USERS, lease_until=utc_now() - timedelta(seconds=1))

    # What came of it

    def row(self, stream: Stream = Stream.USERS) -> dict[str, Any]:
        [row] = [row for row in self._rows(streams) if row["stream"] == stream]
        return row

    def tenant(self) -> dict[str, Any]:
        [row] = self._rows(tenants)
        return row

    def history(self) -> list[dict[str, Any]]:
        return sorted(self._rows(rounds), key=lambda row: int(row["round_id"]))

    def people(self) -> set[str]:
        return {row["object_id"] for row in self._rows(contacts)}

    def changes(self) -> list[dict[str, Any]]:
        return sorted(self._rows(changes), key=lambda row: int(row["sequence"]))

    def due(self) -> dict[str, datetime]:
        return {row["object_id"]: row["due_at"] for row in self._rows(rechecks)}

    def _rows(self, table: Table) -> list[dict[str, Any]]:
        with self.book.database.read() as connection:
            query = select(table).where(table.c.tenant_id == self.book.tenant_id)
            return [dict(row) for row in connection.execute(query).mappings()]
