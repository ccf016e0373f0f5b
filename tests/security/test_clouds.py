"""Two clouds, each with a directory of its own, and one worker for both: nothing of one gets into the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from common.db.tables import contacts
from common.db.tables import tenants as tenants_table
from common.db.tenants import seal_credential
from common.errors import BadPageError, SettingsError
from common.graph.credentials import ClientSecret
from common.messages import Stream
from common.secrets import Vault
from simulator.certificates import Authority, ensure_authority
from tests.support.bench import Bench, settings
from tests.support.book import Book, add_tenant, book
from tests.support.graph_world import GraphWorld, graph_world
from worker.clients import Clients

SECOND = "second"


@dataclass
class Clouds:
    """Two simulated clouds, and a bench with a tenant in each; the first cloud is that of the settings."""

    first: GraphWorld
    second: GraphWorld
    here: Bench
    there: Bench


def requests_of(world: GraphWorld) -> dict[str, dict[str, int]]:
    """Return what was asked of a cloud's tenant by whom ever: route -> status -> times."""
    found: dict[str, dict[str, int]] = world.tenant.statistics.report()["requests"]
    return found


def add(found: Book, world: GraphWorld, cloud: str | None) -> str:
    application = world.tenant.application
    values: dict[str, Any] = {
        "tenant_id": world.tenant.id,
        "client_id": application.client_id,
        "sealed_credential": seal_credential(Vault(settings()), ClientSecret(application.client_secret)),
        "cloud": cloud,
    }
    with found.database.write() as connection:
        return add_tenant(connection, f"In {cloud}", world.tenant.domain, **values)


def the_people(world: GraphWorld) -> set[str]:
    truth = world.tenant.directory.truth
    return {one for one in truth.rosters["user"] if truth.live(one)}


def connected(found: Book, first: GraphWorld, second: GraphWorld) -> tuple[Any, Clients]:
    known = settings(**first.settings, clouds=f"{SECOND}={second.url},{second.url}")
    return known, Clients(known)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("simulator"))


def worlds(authority: Authority, folder: Path, stack: ExitStack, *, seeds: tuple[int, int]) -> list[GraphWorld]:
    found = []
    for number, seed in enumerate(seeds):
        place = folder / f"cloud{number}"
        place.mkdir()
        found.append(stack.enter_context(graph_world(authority, place, users=20 + number, seed=seed)))
    return found


@pytest.fixture
def clouds(authority: Authority, tmp_path: Path, database_url: str) -> Iterator[Clouds]:
    with ExitStack() as stack:
        first, second = worlds(authority, tmp_path, stack, seeds=(1, 2))
        found = stack.enter_context(book(database_url))
        with found.database.write() as connection:
            connection.execute(delete(tenants_table))
        known, clients = connected(found, first, second)
        benches = [
            Bench(Book(found.database, add(found, world, cloud)), known, clients)
            for world, cloud in ((first, None), (second, SECOND))
        ]
        yield Clouds(first, second, *benches)


def test_each_tenant_is_read_from_its_own_cloud_by_its_own_token(clouds: Clouds) -> None:
    for _ in range(2):
        clouds.here.advance()
        clouds.there.advance()

    assert clouds.here.people() == the_people(clouds.first)
    assert clouds.there.people() == the_people(clouds.second)
    for world in (clouds.first, clouds.second):
        asked = requests_of(world)
        assert asked["GET /v1.0/users/delta"].keys() == {"200"}
        assert asked["POST /<tenant>/oauth2/v2.0/token"] == {"200": 1}


@pytest.mark.parametrize("name", ["delta_link", "next_link", "full_link"])
def test_a_link_into_the_other_cloud_is_not_followed_although_another_tenant_is_there(
    clouds: Clouds, name: str
) -> None:
    clouds.here.advance()
    clouds.there.advance()
    link = clouds.there.row()["delta_link"]
    before = requests_of(clouds.second)

    began = (
        {"full_began_at": clouds.here.row()["last_good_at"], "full_reason": "operator"} if name == "full_link" else {}
    )
    clouds.here.book.stream(Stream.USERS, **{name: link}, **began)
    clouds.here.advance()

    assert requests_of(clouds.second) == before
    assert clouds.here.people() == the_people(clouds.first)
    client = clouds.here.clients.of(tenant_of(clouds.here))
    with pytest.raises(BadPageError):
        client.page(link)
    assert requests_of(clouds.second) == before


def tenant_of(bench: Bench) -> Any:
    from common.db import tenants

    with bench.book.database.read() as connection:
        return tenants.get(connection, bench.book.tenant_id)


def test_a_tenant_whose_cloud_has_no_name_any_more_is_asked_nowhere_and_says_so(clouds: Clouds) -> None:
    clouds.there.book.tenant(cloud="third")
    before = requests_of(clouds.first), requests_of(clouds.second)

    with pytest.raises(SettingsError, match="There is no cloud 'third'"):
        clouds.there.advance()

    assert clouds.there.tenant()["state"] == "access_failed"
    assert "ENTRA_SMS_CLOUDS" in clouds.there.tenant()["state_reason"]
    assert (requests_of(clouds.first), requests_of(clouds.second)) == before


@pytest.fixture
def moving(authority: Authority, tmp_path: Path, sqlite_url: str) -> Iterator[Clouds]:
    """The same tenant in both clouds, with other people; it is read from the first."""
    with ExitStack() as stack:
        first, second = worlds(authority, tmp_path, stack, seeds=(1, 1))
        found = stack.enter_context(book(sqlite_url))
        with found.database.write() as connection:
            connection.execute(delete(tenants_table))
        known, clients = connected(found, first, second)
        bench = Bench(Book(found.database, add(found, first, None)), known, clients)
        bench.book.tenant(removal_limit_percent=100)
        second.tenant.directory.create("user", {"displayName": "Zoe", "userPrincipalName": "zoe@second.example"})
        first.tenant.directory.create("user", {"displayName": "Adam", "userPrincipalName": "adam@first.example"})
        yield Clouds(first, second, bench, bench)


@pytest.mark.parametrize("midway", [False, True], ids=["after the first sync", "in the midst of it"])
def test_a_tenant_that_was_put_into_another_cloud_is_read_anew_from_there_alone(moving: Clouds, midway: bool) -> None:
    bench = moving.here
    if midway:
        moving.first.turn(users_page_size=5)
        bench.stopping = True
    bench.advance()
    bench.stopping = False
    assert (bench.row()["full_link"] is not None) == midway
    before = requests_of(moving.first)

    bench.book.tenant(cloud=SECOND)
    bench.advance()

    assert bench.people() == the_people(moving.second) != the_people(moving.first)
    assert requests_of(moving.first) == before
    assert bench.row()["delta_link"].startswith(moving.second.url)
    asked = len(bench.history())
    bench.advance()
    assert len(bench.history()) == asked, "it is read anew again and again"


def test_other_settings_have_the_same_effect(moving: Clouds) -> None:
    bench = moving.here
    bench.advance()
    before = requests_of(moving.first)

    known = settings(**moving.second.settings)
    Bench(bench.book, known, Clients(known)).advance()

    assert bench.people() == the_people(moving.second)
    assert requests_of(moving.first) == before
    assert bench.history()[-1]["reason"] == "fingerprint"


def test_a_cloud_of_another_name_at_the_same_graph_costs_no_full_round(clouds: Clouds) -> None:
    clouds.there.advance()
    rounds = len(clouds.there.history())
    known = settings(**clouds.second.settings)
    clouds.there.book.tenant(cloud=None)

    Bench(clouds.there.book, known, Clients(known)).advance()

    assert len(clouds.there.history()) == rounds
    with clouds.there.book.database.read() as connection:
        mine = contacts.c.tenant_id == clouds.there.book.tenant_id
        assert set(connection.scalars(select(contacts.c.object_id).where(mine))) == the_people(clouds.second)
