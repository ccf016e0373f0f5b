"""Address books made straight in a database, as full rounds would have left them: tenants, people, groups, cursors."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, insert, update

from benchmarks.asked_graph import delta_link
from common.clock import utc_now
from common.config import load
from common.db import tables, tenants
from common.db.engine import Database
from common.graph.credentials import ClientSecret
from common.graph.resources import fingerprint
from common.messages import Stream
from common.scope import EVERYBODY
from common.secrets import Vault
from simulator import people as names
from tests.support.notifications import SECRET_KEY

REGION = "PL"
WITH_NUMBER = 0.85
ROWS_AT_ONCE = 5_000
NOT_NOW = timedelta(days=1)


@dataclass(frozen=True)
class Company:
    """A tenant with a book: the ids of its people and of its groups."""

    tenant_id: str
    people: list[str]
    groups: list[str]


class Books:
    """Makes books in one database, always the same ones in the same order; `origin` is that of their Graph."""

    def __init__(self, database: Database, origin: str) -> None:
        self.database = database
        self._origin = origin
        self._source = random.Random(7)
        vault = Vault(load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY}))
        self._sealed = tenants.seal_credential(vault, ClientSecret("a secret"))

    def companies(self, count: int, people: int, groups: int) -> list[Company]:
        return [self.company(people, groups) for _ in range(count)]

    def company(self, people: int, groups: int) -> Company:
        """Make a tenant that has been read, each of whose people is in one of its groups."""
        with self.database.write() as connection:
            made = Company(self.tenant(connection), self._ids(people), self._ids(groups))
            insert_rows(connection, tables.contacts, (self._person(made.tenant_id, one) for one in made.people))
            insert_rows(connection, tables.groups, (_group(made.tenant_id, one) for one in made.groups))
            within = ((made.groups[number % groups], one) for number, one in enumerate(made.people) if groups)
            edges = (edge(made.tenant_id, group, one, "user") for group, one in within)
            insert_rows(connection, tables.memberships, edges)
        return made

    def tenant(self, connection: Connection, *, is_read: bool = True) -> str:
        """Add a tenant that no timer looks at for a day; its id. One that is not read yet begins when it is asked."""
        [tenant_id] = self._ids(1)
        now = utc_now()
        tenants.save(
            connection,
            tenant_id=tenant_id,
            name=tenant_id,
            domain=None,
            client_id=tenant_id,
            sealed_credential=self._sealed,
            default_region=REGION,
            agreement=tenants.Agreement("none", date(2026, 1, 1)),
            now=now,
        )
        mine = tables.tenants.c.tenant_id == tenant_id
        connection.execute(update(tables.tenants).where(mine).values(reconcile_at=now + NOT_NOW))
        for stream in Stream:
            of = (tables.streams.c.tenant_id == tenant_id, tables.streams.c.stream == stream)
            values = {"next_poll_at": now + NOT_NOW, **(_read(self._origin, stream) if is_read else {})}
            connection.execute(update(tables.streams).where(*of).values(values))
        return tenant_id

    def _person(self, tenant_id: str, object_id: str) -> dict[str, Any]:
        person = names.draw_person(self._source)
        phone = f"+4860{self._source.randrange(10**7):07}" if self._source.random() < WITH_NUMBER else None
        address = f"{person.mail_name}{self._source.randrange(10**7)}@nordwind.example"
        return {
            "tenant_id": tenant_id,
            "object_id": object_id,
            "display_name": person.display_name,
            "given_name": person.given_name,
            "surname": person.surname,
            "mail": address,
            "user_principal_name": address,
            "mobile_phone": phone,
            "business_phones": [],
            "usage_location": REGION,
            "account_enabled": True,
            "user_type": "Member",
            "phone": phone,
            "phone_source": "mobile" if phone else None,
            "phone_state": "ok" if phone else "missing",
            "generation": 1,
        }

    def _ids(self, count: int) -> list[str]:
        return [str(UUID(int=self._source.getrandbits(128), version=4)) for _ in range(count)]


def _read(origin: str, stream: Stream) -> dict[str, Any]:
    """Return what the row of a stream says after its first full round."""
    now = utc_now()
    return {
        "delta_link": delta_link(origin, stream, 0),
        "fingerprint": fingerprint(stream, REGION, EVERYBODY),
        "generation": 1,
        "last_began_at": now,
        "last_good_at": now,
        "last_full_began_at": now,
        "last_full_at": now,
    }


def _group(tenant_id: str, object_id: str) -> dict[str, Any]:
    name = f"Team {object_id[:8]}"
    return {"tenant_id": tenant_id, "object_id": object_id, "display_name": name, "kind": "security", "generation": 1}


def edge(tenant_id: str, group_id: str, member_id: str, member_type: str) -> dict[str, Any]:
    """Return a row of the memberships."""
    ids = {"tenant_id": tenant_id, "group_id": group_id, "member_id": member_id}
    return {**ids, "member_type": member_type, "generation": 1}


def insert_rows(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    rest = iter(rows)
    while some := list(islice(rest, ROWS_AT_ONCE)):
        connection.execute(insert(table), some)


def analyse(database: Database) -> None:
    """Let the database count its rows, as it does by itself after a while."""
    with database.write() as connection:
        connection.exec_driver_sql("ANALYZE")
