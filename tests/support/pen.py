"""Writes delta entries into a book as the rounds do, one page a transaction, and shows what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, select

from common.db.engine import Database
from common.db.tables import changes, contacts, groups, held_removals, holds, memberships, rechecks, streams
from common.db.tenants import USUAL_REMOVAL_LIMIT, RemovalLimit
from common.messages import Reason, Stream
from common.scope import EVERYBODY, Scope
from tests.support.book import Book
from worker.apply_groups import apply_groups, sweep_groups
from worker.apply_users import apply_users, sweep_users
from worker.book import Counts, Writer
from worker.mapping import groups_of, users_of

REMOVED = {"@removed": {"reason": "changed"}}
Entry = dict[str, Any]


def person(object_id: str, **properties: Any) -> Entry:
    """An entry with what every user has."""
    return {"id": object_id, "userPrincipalName": f"{object_id[:8]}@contoso.example", **properties}


def group(object_id: str, *members: Entry, name: str = "Staff", **properties: Any) -> Entry:
    return {"id": object_id, "displayName": name, "members@delta": list(members), **properties}


def member(object_id: str, kind: str = "user", **more: Any) -> Entry:
    return {"@odata.type": f"#microsoft.graph.{kind}", "id": object_id, **more}


def gone(object_id: str) -> Entry:
    return {"id": object_id, **REMOVED}


@dataclass
class Pen:
    """The tenant's book, and the number of the full round that is under way."""

    book: Book
    generation: int = 1
    region: str | None = "PL"
    removal_limit: RemovalLimit = USUAL_REMOVAL_LIMIT
    scope: Scope = EVERYBODY
    rescoping: bool = False
    publishes: bool = False
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def database(self) -> Database:
        return self.book.database

    def users(self, *entries: Entry, full: bool = False) -> Counts:
        """Write one page of `users/delta`."""
        with self._writer(Stream.USERS, full=full) as writer:
            apply_users(writer, users_of(entries))
        return writer.counts

    def groups(self, *entries: Entry, full: bool = False) -> Counts:
        """Write one page of `groups/delta`."""
        with self._writer(Stream.GROUPS, full=full) as writer:
            apply_groups(writer, groups_of(entries))
        return writer.counts

    def full_round(self, stream: Stream, *pages: list[Entry]) -> Counts:
        """Write all pages of a full round, each in its own transaction, and sweep."""
        self.generation += 1
        write = self.users if stream is Stream.USERS else self.groups
        total = Counts()
        for page in pages:
            total.add(write(*page, full=True))
        with self._writer(stream, full=True) as writer:
            (sweep_users if stream is Stream.USERS else sweep_groups)(writer)
        total.add(writer.counts)
        return total

    def forget_noted(self) -> None:
        """What is to be read itself was read, and told nothing new."""
        with self.database.write() as connection:
            connection.execute(delete(rechecks).where(rechecks.c.tenant_id == self.book.tenant_id))

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    @contextmanager
    def _writer(self, stream: Stream, *, full: bool) -> Iterator[Writer]:
        with self.database.write() as connection:
            yield Writer(
                database=self.database,
                connection=connection,
                tenant_id=self.book.tenant_id,
                default_region=self.region,
                generation=self.generation,
                full=full,
                reason=Reason.NOTIFICATION,
                now=self.now,
                recheck_at=self.now + timedelta(seconds=15),
                removal_limit=self.removal_limit,
                hold_id=connection.scalar(select(streams.c.hold_id).where(*self._of(stream))),
                publishes=self.publishes,
                scope=self.scope,
                rescoping=self.rescoping,
            )

    def _of(self, stream: Stream) -> tuple[Any, ...]:
        return (streams.c.tenant_id == self.book.tenant_id, streams.c.stream == stream)

    # What came of it

    def contact(self, object_id: str) -> dict[str, Any] | None:
        return next((row for row in self._rows(contacts) if row["object_id"] == object_id), None)

    def group_row(self, object_id: str) -> dict[str, Any] | None:
        return next((row for row in self._rows(groups) if row["object_id"] == object_id), None)

    def edges(self) -> set[tuple[str, str]]:
        return {(row["group_id"], row["member_id"]) for row in self._rows(memberships)}

    def feed(self) -> list[tuple[Any, ...]]:
        """The changes so far: kind, object, and member or fields where there are any."""
        rows = sorted(self._rows(changes), key=lambda row: row["sequence"])
        return [
            (row["kind"], row["object_id"], *(part for part in (row["member_id"], row["fields"]) if part is not None))
            for row in rows
        ]

    def noted(self) -> set[tuple[str, str, str]]:
        """What is to be read itself: stream, object, what of it."""
        return {(row["stream"], row["object_id"], row["what"]) for row in self._rows(rechecks)}

    def people(self) -> set[str]:
        return {row["object_id"] for row in self._rows(contacts)}

    def held(self, stream: Stream = Stream.USERS) -> dict[str, int]:
        """Whose removal waits for a decision, and its number."""
        rows = [row for row in self._rows(held_removals) if row["stream"] == stream]
        return {row["object_id"]: row["number"] for row in rows}

    def holds(self) -> list[dict[str, Any]]:
        return sorted(self._rows(holds), key=lambda row: int(row["hold_id"]))

    def _rows(self, table: Table) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            query = select(table).where(table.c.tenant_id == self.book.tenant_id)
            return [dict(row) for row in connection.execute(query).mappings()]
