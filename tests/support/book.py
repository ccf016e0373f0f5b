"""Rows of the address book for tests, written as the worker would write them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from sqlalchemy import Connection, delete, insert, select, update

from common.config import load
from common.db import tenants
from common.db.engine import Database
from common.db.tables import contacts, groups, held_removals, holds, memberships, rounds, streams, subscriptions
from common.db.tables import tenants as tenants_table
from common.db.tenants import Agreement
from common.graph.credentials import ClientSecret
from common.messages import Stream
from common.secrets import Vault

SECRET_KEY = "a key of the tests, at least 32 characters long"


def guid(name: str) -> str:
    """A GUID that is always the same for a name."""
    return str(uuid5(NAMESPACE_DNS, name))


@dataclass
class Book:
    """The database of a test, and a tenant in it."""

    database: Database
    tenant_id: str

    def person(self, name: str | None, object_id: str | None = None, **values: Any) -> str:
        found = object_id or guid(f"{self.tenant_id} {name}")
        row: dict[str, Any] = {
            "display_name": name,
            "account_enabled": True,
            "user_type": "Member",
            "phone_state": "ok" if values.get("phone") else "missing",
            "phone_source": "mobile" if values.get("phone") else None,
            **values,
        }
        with self.database.write() as connection:
            connection.execute(insert(contacts).values(tenant_id=self.tenant_id, object_id=found, generation=1, **row))
        return found

    def group(self, name: str | None, *members: tuple[str, str], object_id: str | None = None, **values: Any) -> str:
        """A group with `members`, which are pairs of type and id."""
        found = object_id or guid(f"{self.tenant_id} {name}")
        with self.database.write() as connection:
            row = {"tenant_id": self.tenant_id, "object_id": found, "display_name": name, "generation": 1, **values}
            connection.execute(insert(groups).values(row))
        for kind, member_id in members:
            self.edge(found, kind, member_id)
        return found

    def edge(self, group_id: str, kind: str, member_id: str) -> None:
        row = {"group_id": group_id, "member_id": member_id, "member_type": kind, "generation": 1}
        with self.database.write() as connection:
            connection.execute(insert(memberships).values(tenant_id=self.tenant_id, **row))

    def stream(self, stream: Stream, **values: Any) -> None:
        with self.database.write() as connection:
            mine = (streams.c.tenant_id == self.tenant_id, streams.c.stream == stream)
            connection.execute(update(streams).where(*mine).values(**values))

    def tenant(self, **values: Any) -> None:
        with self.database.write() as connection:
            connection.execute(
                update(tenants_table).where(tenants_table.c.tenant_id == self.tenant_id).values(**values)
            )

    def subscription(self, stream: Stream, subscription_id: str, expires_at: datetime) -> None:
        now = datetime.now(UTC)
        row = {
            "stream": stream,
            "subscription_id": subscription_id,
            "public_url": "https://sync.example",
            "key_fingerprint": "00000000",
            "created_at": now,
            "renewed_at": now,
            "renew_at": now,
            "expires_at": expires_at,
        }
        with self.database.write() as connection:
            connection.execute(insert(subscriptions).values(tenant_id=self.tenant_id, **row))

    def hold(self, stream: Stream, *object_ids: str, ended: bool = False, **values: Any) -> int:
        """Removals that a worker holds, numbered from 1; its number. An ended hold holds nobody any more."""
        now = datetime.now(UTC)
        row: dict[str, Any] = {
            "stream": stream,
            "began_at": now,
            "mode": "full",
            "reason": "operator",
            "book_size": 100,
            "removal_limit": 20,
            "removed_before": 0,
            "last_number": len(object_ids),
            **values,
        }
        if ended:
            row = {"ended_at": now, "outcome": "returned", **row}
        with self.database.write() as connection:
            opened = insert(holds).values(tenant_id=self.tenant_id, **row).returning(holds.c.hold_id)
            hold_id: int = connection.execute(opened).scalar_one()
            for number, object_id in enumerate([] if ended else object_ids, 1):
                removal = {"stream": stream, "object_id": object_id, "number": number, "noted_at": row["began_at"]}
                connection.execute(insert(held_removals).values(tenant_id=self.tenant_id, **removal))
        if not ended:
            self.stream(stream, hold_id=hold_id)
        return hold_id

    def held_people(self, count: int = 25, **values: Any) -> int:
        """A full sync three hours ago did not see so many people, of whom the second has no name; the hold's number."""
        names = [f"Person {number:02}" if number != 2 else None for number in range(1, count + 1)]
        ids = [self.person(name, guid(f"{self.tenant_id} {number}")) for number, name in enumerate(names, 1)]
        began_at = datetime.now(UTC) - timedelta(hours=3)
        facts: dict[str, Any] = {"began_at": began_at, "book_size": 1001, "removal_limit": 100, "removed_before": 3}
        return self.hold(Stream.USERS, *ids, **(facts | values))

    def hold_more(self, hold_id: int, stream: Stream, object_id: str) -> None:
        """One more removal in an open hold, noted now."""
        with self.database.write() as connection:
            mine = update(holds).where(holds.c.hold_id == hold_id).values(last_number=holds.c.last_number + 1)
            number: int = connection.execute(mine.returning(holds.c.last_number)).scalar_one()
            removal = {"stream": stream, "object_id": object_id, "number": number, "noted_at": datetime.now(UTC)}
            connection.execute(insert(held_removals).values(tenant_id=self.tenant_id, **removal))

    def let_go(self, object_id: str) -> None:
        """The directory shows somebody again who was held."""
        with self.database.write() as connection:
            mine = (held_removals.c.tenant_id == self.tenant_id, held_removals.c.object_id == object_id)
            connection.execute(delete(held_removals).where(*mine))

    def end_hold(self, hold_id: int, outcome: str, request_id: str | None = None) -> None:
        """What a worker leaves when a hold has ended: carried out by the command `request_id`, or by itself."""
        ended = {"ended_at": datetime.now(UTC), "outcome": outcome, "decision_request_id": request_id}
        with self.database.write() as connection:
            connection.execute(update(holds).where(holds.c.hold_id == hold_id).values(ended))
            stream = connection.scalar(select(holds.c.stream).where(holds.c.hold_id == hold_id))
            mine = (held_removals.c.tenant_id == self.tenant_id, held_removals.c.stream == stream)
            connection.execute(delete(held_removals).where(*mine))
            connection.execute(update(streams).where(streams.c.hold_id == hold_id).values(hold_id=None))

    def round(self, stream: Stream, request_id: str, **values: Any) -> None:
        """The row that a worker leaves when a round has answered a command."""
        now = datetime.now(UTC)
        row: dict[str, Any] = {
            "mode": "full",
            "reason": "operator",
            "began_at": now,
            "ended_at": now,
            "outcome": "ok",
            "pages": 1,
            "objects": 2,
            "added": 1,
            "changed": 0,
            "removed": 0,
            "request_ids": [request_id],
            **values,
        }
        with self.database.write() as connection:
            connection.execute(insert(rounds).values(tenant_id=self.tenant_id, stream=stream, **row))


def add_tenant(connection: Connection, name: str, domain: str | None, **values: Any) -> str:
    """Save a tenant as `entra-sms tenants add` does; its id."""
    settings = load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY})
    tenant_id = guid(name)
    row: dict[str, Any] = {
        "tenant_id": tenant_id,
        "name": name,
        "domain": domain,
        "client_id": guid(f"client of {name}"),
        "sealed_credential": tenants.seal_credential(Vault(settings), ClientSecret("a-secret~of.the_tests")),
        "default_region": "PL",
        "agreement": Agreement("DPA-1", date(2026, 1, 2)),
        "now": datetime.now(UTC),
        **values,
    }
    tenants.save(connection, **row)
    return str(row["tenant_id"])


@contextmanager
def book(database_url: str, name: str = "Contoso", domain: str | None = "contoso.example") -> Iterator[Book]:
    """A book with one tenant and nobody in it."""
    database = Database.from_url(database_url)
    try:
        with database.write() as connection:
            tenant_id = add_tenant(connection, name, domain)
        yield Book(database, tenant_id)
    finally:
        database.close()


@contextmanager
def lent_book(database_url: str) -> Iterator[Book]:
    """As `book`, in a database that other tests use as well: all tenants are erased in the end, and so all rows."""
    with book(database_url) as found:
        try:
            yield found
        finally:
            with found.database.write() as connection:
                connection.execute(delete(tenants_table))
