"""`entra-sms explain --live` against a simulated Graph, with a book that a worker has made of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from common.db.tables import tenants as tenants_table
from common.db.tenants import seal_credential
from common.graph.credentials import ClientSecret
from common.messages import Stream
from common.secrets import Vault
from simulator.certificates import Authority, ensure_authority
from tests.support.bench import Bench, settings
from tests.support.book import Book, add_tenant, book, guid
from tests.support.console import EntraSms
from tests.support.graph_world import GraphWorld, graph_world
from worker.clients import Clients


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("simulator"))


@pytest.fixture
def world(authority: Authority, tmp_path: Path) -> Iterator[GraphWorld]:
    with graph_world(authority, tmp_path, users=60, groups=12) as world:
        yield world


@pytest.fixture
def bench(world: GraphWorld, sqlite_url: str) -> Iterator[Bench]:
    application = world.tenant.application
    with book(sqlite_url) as found:
        with found.database.write() as connection:
            connection.execute(delete(tenants_table))
            add_tenant(
                connection,
                "Nordwind",
                world.tenant.domain,
                tenant_id=world.tenant.id,
                client_id=application.client_id,
                sealed_credential=seal_credential(Vault(settings()), ClientSecret(application.client_secret)),
            )
        known = settings(**world.settings)
        yield Bench(Book(found.database, world.tenant.id), known, Clients(known))


@pytest.fixture
def entra_sms(world: GraphWorld, sqlite_url: str) -> EntraSms:
    return EntraSms({"database_url": sqlite_url} | world.settings)


def sync(bench: Bench) -> None:
    for stream in Stream:
        bench.advance(stream=stream)


def live_people(world: GraphWorld) -> list[str]:
    found = world.tenant.directory.truth
    return [one for one in found.rosters["user"] if found.live(one)]


def said(ended: Any) -> Any:
    return json.loads(ended.out)


def every_row(bench: Bench) -> list[list[dict[str, Any]]]:
    """All rows of the database."""
    with bench.book.database.read() as connection:
        tables = tenants_table.metadata.sorted_tables
        return [[dict(row) for row in connection.execute(select(table)).mappings()] for table in tables]


def test_a_book_that_was_just_read_differs_for_nobody(bench: Bench, world: GraphWorld, entra_sms: EntraSms) -> None:
    sync(bench)
    before = every_row(bench)

    for person in live_people(world):
        body = said(entra_sms("explain", person, "--live", "--json"))
        assert body["live"]["known"]
        assert body["live"]["differing"] == [], body["live"]["fields"]
        assert body["live"]["what_next"] == "Graph and the address book agree."
    assert every_row(bench) == before


def test_a_difference_is_marked_and_gone_after_the_next_round(
    bench: Bench, world: GraphWorld, entra_sms: EntraSms
) -> None:
    sync(bench)
    person, *_ = live_people(world)
    world.tenant.directory.update("user", person, {"mobilePhone": "+48 601 234 567", "displayName": "Zoë Now"})

    before = entra_sms("explain", person, "--live")
    fields = said(entra_sms("explain", person, "--live", "--json"))["live"]["fields"]
    sync(bench)
    after = entra_sms("explain", person, "--live")

    assert before.code == 0
    assert 'Zoë Now  differs: the book has "' in before.out
    assert "+48601234567  differs: the book has" in before.out
    assert "A difference is normal for some seconds. The next round is due at" in before.out
    assert fields["mobile_phone"]["graph"] == "+48 601 234 567"
    assert not fields["mobile_phone"]["same"]
    assert fields["user_principal_name"]["same"]
    assert "differs" not in after.out
    assert "name, mobile phone and number changed (notification)" in after.out


def test_who_came_left_or_never_was_is_told(bench: Bench, world: GraphWorld, entra_sms: EntraSms) -> None:
    sync(bench)
    leaver, *_ = live_people(world)
    world.tenant.directory.remove("user", leaver)
    new = world.tenant.directory.create("user", {"displayName": "New", "userPrincipalName": "new@contoso.example"}).id

    left, came = entra_sms("explain", leaver, "--live"), entra_sms("explain", new, "--live")
    nobody = entra_sms("explain", guid("nobody"), "--live")
    sync(bench)
    gone = entra_sms("explain", leaver, "--live")

    assert left.code == came.code == gone.code == 0
    assert "not there: no person has this id" in left.out
    assert "but the book has one" in left.out
    assert "no: the directory never showed a person with this id." in came.out
    assert "there, but not in the book" in came.out
    assert nobody.code == 1
    assert "Graph and the address book agree." in nobody.out
    assert "no: removed" in gone.out
    assert "but the book has one" not in gone.out


def test_refused_access_ends_with_3_after_what_the_book_knows(
    bench: Bench, world: GraphWorld, entra_sms: EntraSms
) -> None:
    sync(bench)
    person, *_ = live_people(world)
    world.tenant.application.roles = ()

    shown, as_json = entra_sms("explain", person, "--live"), entra_sms("explain", person, "--live", "--json")

    assert (shown.code, as_json.code) == (3, 3)
    assert "Object id" in shown.out
    assert as_json.out == ""
    assert "Grant admin consent" in shown.words
    assert "Traceback" not in shown.err


def test_a_graph_that_cannot_be_reached_ends_with_4_and_its_address(
    bench: Bench, world: GraphWorld, entra_sms: EntraSms, unused_port: int
) -> None:
    sync(bench)
    nowhere = f"https://127.0.0.1:{unused_port}"
    away = EntraSms({**entra_sms.settings, "graph_url": nowhere, "login_url": nowhere})

    ended = away("explain", live_people(world)[0], "--live")

    assert ended.code == 4
    assert f"{nowhere} (ENTRA_SMS_GRAPH_URL)" in ended.words
