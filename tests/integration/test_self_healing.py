"""Whatever somebody does to the address book by hand, the next full round brings back what the directory has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert, select, update

from common.db.tables import contacts, groups, memberships
from common.db.tables import tenants as tenants_table
from common.db.tenants import seal_credential
from common.graph.credentials import ClientSecret
from common.messages import Stream
from common.secrets import Vault
from simulator.certificates import ensure_authority
from tests.support.bench import Bench, settings
from tests.support.book import Book, add_tenant, book, guid
from tests.support.graph_world import graph_world
from worker.clients import Clients

NOBODY = guid("nobody")


@pytest.fixture
def bench(database_url: str, tmp_path: Path) -> Iterator[Bench]:
    """A worker whose book has just become equal to a simulated directory."""
    with (
        graph_world(ensure_authority(tmp_path / "authority"), tmp_path, users=40, groups=5) as world,
        book(database_url) as found,
    ):
        application = world.tenant.application
        with found.database.write() as connection:
            connection.execute(delete(tenants_table))
            add_tenant(
                connection,
                "Simulated",
                world.tenant.domain,
                tenant_id=world.tenant.id,
                client_id=application.client_id,
                sealed_credential=seal_credential(Vault(settings()), ClientSecret(application.client_secret)),
            )
        known = settings(**world.settings)
        bench = Bench(Book(found.database, world.tenant.id), known, Clients(known))
        for stream in Stream:
            bench.advance(stream=stream)
        yield bench


def rows(bench: Bench, table: Table) -> list[dict[str, Any]]:
    """The table without the number of the full round that saw a row last."""
    columns = [column for column in table.columns if column.name != "generation"]
    with bench.book.database.read() as connection:
        found = connection.execute(select(*columns).order_by(*table.primary_key.columns))
        return [dict(row) for row in found.mappings()]


def heal(bench: Bench) -> list[tuple[Any, ...]]:
    """Read both streams in full, as an operator asks for it; what the feed says of it."""
    before = len(bench.pen.feed())
    for stream in Stream:
        bench.advance(bench.resync("r1", stream=stream))
    return bench.pen.feed()[before:]


def test_people_who_were_deleted_edited_or_made_up_are_as_the_directory_has_them(bench: Bench) -> None:
    truth = rows(bench, contacts)
    deleted, edited = [person["object_id"] for person in truth if person["phone"]][:2]
    forged = {"display_name": "Nobody", "phone": "+48500100200", "phone_state": "ok", "phone_source": "mobile"}
    with bench.book.database.write() as connection:
        connection.execute(delete(contacts).where(contacts.c.object_id == deleted))
        number = {"phone": "+48500100100", "display_name": "Somebody Else"}
        connection.execute(update(contacts).where(contacts.c.object_id == edited).values(number))
        someone = {"tenant_id": bench.book.tenant_id, "object_id": NOBODY, "business_phones": [], "generation": 1}
        connection.execute(insert(contacts).values(**someone, **forged))
    assert rows(bench, contacts) != truth

    told = heal(bench)

    assert rows(bench, contacts) == truth
    assert sorted(told) == sorted(
        [
            ("contact.added", deleted),
            ("contact.changed", edited, ["display_name", "phone"]),
            ("contact.removed", NOBODY),
        ]
    )


def test_groups_and_memberships_that_were_deleted_edited_or_made_up_are_as_the_directory_has_them(
    bench: Bench,
) -> None:
    teams, edges = rows(bench, groups), rows(bench, memberships)
    renamed, left = teams[0]["object_id"], edges[0]
    joined = next(
        person["object_id"]
        for person in rows(bench, contacts)
        if (renamed, person["object_id"]) not in {(edge["group_id"], edge["member_id"]) for edge in edges}
    )
    with bench.book.database.write() as connection:
        connection.execute(update(groups).where(groups.c.object_id == renamed).values(display_name="Renamed"))
        mine = (memberships.c.group_id == left["group_id"], memberships.c.member_id == left["member_id"])
        connection.execute(delete(memberships).where(*mine))
    bench.book.edge(renamed, "user", joined)

    told = heal(bench)

    assert rows(bench, groups) == teams
    assert rows(bench, memberships) == edges
    assert sorted(told, key=str) == sorted(
        [
            ("group.changed", renamed, ["display_name"]),
            ("membership.added", left["group_id"], left["member_id"]),
            ("membership.removed", renamed, joined),
        ],
        key=str,
    )
