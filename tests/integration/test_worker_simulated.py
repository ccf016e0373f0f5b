"""A worker's turns against a simulated Graph, with what happens to a real one now and then."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import delete, select

from common.broker.publisher import Publisher
from common.commands import Command, Verb
from common.db.tables import contacts, memberships
from common.db.tables import tenants as tenants_table
from common.db.tenants import seal_credential
from common.db.visible import is_visible
from common.errors import AccessError, RetryLaterError
from common.graph.credentials import ClientSecret
from common.messages import Stream, decode_request
from common.secrets import Vault
from simulator.certificates import Authority, ensure_authority
from tests.support.bench import Bench, settings
from tests.support.book import Book, add_tenant, book
from tests.support.graph_world import GraphWorld, graph_world
from tests.support.replay import held, replayed
from worker.clients import Clients
from worker.commands import Commands

FAULTS = {
    "delta_duplicate_in_page",
    "delta_unknown_member_type",
    "transient_unauthorized",
    "server_error_next",
    "throttle_next",
    "delta_foreign_next_link",
    "truncated_json",
    "connection_reset",
}
"""Each of these must have happened in the test that turns it."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("simulator"))


@pytest.fixture
def world(authority: Authority, tmp_path: Path) -> Iterator[GraphWorld]:
    with graph_world(authority, tmp_path, users=60, groups=6) as world:
        yield world


@pytest.fixture
def bench(world: GraphWorld, sqlite_url: str) -> Iterator[Bench]:
    application = world.tenant.application
    with book(sqlite_url) as found:
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
        yield Bench(Book(found.database, world.tenant.id), known, Clients(known))


def sync(bench: Bench, *, tries: int = 1) -> None:
    """Advance both streams, as often as passing trouble makes it necessary."""
    for stream in Stream:
        for attempt in range(tries):
            try:
                bench.advance(stream=stream)
            except RetryLaterError:
                bench.book.tenant(throttled_until=None)
                assert attempt < tries - 1
            else:
                break


def truth(world: GraphWorld) -> tuple[set[str], set[tuple[str, str]]]:
    found = world.tenant.directory.truth
    people = {one for one in found.rosters["user"] if found.live(one)}
    groups = [one for one in found.rosters["group"] if found.live(one)]
    return people, {(group, member.id) for group in groups for _, member in found.live_members(group)}


def shown(bench: Bench) -> tuple[set[str], set[tuple[str, str]]]:
    with bench.book.database.read() as connection:
        edges = connection.execute(select(memberships).where(is_visible()))
        return set(connection.scalars(select(contacts.c.object_id))), {(one.group_id, one.member_id) for one in edges}


def change_something(world: GraphWorld) -> None:
    directory = world.tenant.directory
    someone = next(one for one in directory.truth.rosters["user"] if directory.truth.live(one))
    directory.remove("user", someone)


def assert_equal(bench: Bench, world: GraphWorld) -> None:
    assert shown(bench) == truth(world)
    assert replayed(bench.book.database, bench.book.tenant_id) == held(bench.book.database, bench.book.tenant_id)


def test_the_book_becomes_equal_to_the_directory(bench: Bench, world: GraphWorld) -> None:
    sync(bench)
    assert_equal(bench, world)


def test_a_token_that_graph_does_not_accept_once_is_no_matter_of_access(bench: Bench, world: GraphWorld) -> None:
    world.turn(transient_unauthorized=1.0)
    with pytest.raises(RetryLaterError, match="does not accept the access token"):
        bench.advance()
    assert world.fired("transient_unauthorized") == 2
    assert bench.tenant()["state"] == "active"

    world.turn(transient_unauthorized=0.0)
    sync(bench)
    assert_equal(bench, world)

    world.turn(transient_unauthorized=1.0)
    with pytest.raises(RetryLaterError, match="does not accept the access token"):
        bench.advance()
    assert bench.tenant()["state"] == "active"


def test_a_token_that_graph_does_not_accept_in_two_turns_in_a_row_is(bench: Bench, world: GraphWorld) -> None:
    world.turn(transient_unauthorized=1.0)
    with pytest.raises(RetryLaterError):
        bench.advance()
    with pytest.raises(AccessError):
        bench.advance()
    assert bench.tenant()["state"] == "access_failed"


@pytest.mark.parametrize("hidden_share", [0.4, 0.5, 1.0])
def test_a_directory_that_shows_a_part_of_itself_removes_nobody(
    bench: Bench, world: GraphWorld, hidden_share: float
) -> None:
    sync(bench)
    before = shown(bench)
    world.turn(hidden_share=hidden_share)
    bench.advance(bench.resync("r1"))
    assert world.fired("hidden_share") > 20
    assert shown(bench) == before
    assert len(bench.pen.held()) == world.fired("hidden_share")

    world.turn(hidden_share=0.0)
    change_something(world)
    sync(bench)  # live changes go on, but tell nothing of the others
    assert len(bench.pen.held()) >= world.fired("hidden_share") - 1
    hold_id = bench.pen.holds()[0]["hold_id"]
    bench.publisher.sent.clear()
    Commands(bench.settings, bench.book.database, cast("Publisher", bench.publisher)).carry_out(
        Command(Verb.REJECT_REMOVALS, world.tenant.id, None, "r2", hold_id)
    )
    for request in [decode_request(message.body) for message in bench.publisher.sent]:
        bench.advance(request)
    assert bench.pen.held() == {}
    assert_equal(bench, world)


def test_half_of_the_people_leaving_one_by_one_are_held_from_the_limit_on(bench: Bench, world: GraphWorld) -> None:
    sync(bench)
    directory = world.tenant.directory
    leaving = [one for one in directory.truth.rosters["user"] if directory.truth.live(one)][:30]
    for number, someone in enumerate(leaving, 1):
        directory.remove("user", someone)
        bench.advance()
        assert len(bench.pen.held()) == max(0, number - 20)
    assert set(leaving[20:]) <= bench.people()


def read_three_pages_of_a_full_round(bench: Bench, world: GraphWorld) -> None:
    world.turn(users_page_size=4)
    bench.stopping = True  # a turn ends with its first page
    for _ in range(3):
        bench.advance(bench.resync("r1"))
    bench.stopping = False
    assert bench.row()["full_pages"] == 3


def test_a_permission_lost_in_the_middle_of_a_full_round_removes_nobody(bench: Bench, world: GraphWorld) -> None:
    sync(bench)
    before = shown(bench)
    read_three_pages_of_a_full_round(bench, world)
    roles = world.tenant.application.roles
    world.tenant.application.roles = ()
    bench.clients = Clients(bench.settings)  # with a new token
    with pytest.raises(AccessError):
        bench.advance(bench.look("r2"))
    assert shown(bench) == before
    assert (bench.row()["full_pages"], bench.pen.held()) == (3, {})

    world.tenant.application.roles = roles
    bench.advance(bench.look("r3"))
    assert bench.row()["full_began_at"] is None
    assert_equal(bench, world)


def test_pages_that_become_empty_in_the_middle_of_a_full_round_remove_nobody(bench: Bench, world: GraphWorld) -> None:
    sync(bench)
    before = shown(bench)
    read_three_pages_of_a_full_round(bench, world)
    world.turn(hidden_share=1.0)
    bench.advance()
    assert bench.row()["full_began_at"] is None  # it ended, with a deltaLink and a status of 200
    assert shown(bench) == before
    assert len(bench.pen.held()) == world.fired("hidden_share") > 20


@pytest.mark.parametrize("shape", ["gone", "sync_state_not_found", "unsupported_query"])
def test_a_dead_delta_token_of_any_shape_leads_to_a_full_round(bench: Bench, world: GraphWorld, shape: str) -> None:
    sync(bench)
    change_something(world)
    world.turn(expired_token_shape=shape, expire_next_tokens=1)
    bench.advance()
    assert world.fired("expire_next_tokens") == 1
    assert bench.history()[-1]["reason"] == "token_expired"
    assert_equal(bench, world)


@pytest.mark.parametrize(
    "knobs",
    [
        {"users_page_size": 4, "groups_page_size": 1, "members_per_page": 7, "members_per_group": 3},
        {"users_page_size": 4, "delta_empty_pages": 3},
        {"users_page_size": 4, "delta_duplicate_in_page": 0.5, "delta_duplicate_across_pages": 0.5},
        {"users_page_size": 4, "delta_unknown_properties": 1.0, "delta_unknown_member_type": 1.0},
        {"users_page_size": 4, "seed": 4, "transient_unauthorized": 0.1},
        {"users_page_size": 8, "server_error_next": 3},
        {"users_page_size": 8, "throttle_next": 2, "retry_after": "decimal"},
        {"users_page_size": 8, "delta_next_link_loop": 1, "delta_foreign_next_link": 1},
        {"users_page_size": 8, "truncated_json": 0.2, "html_instead_of_json": 0.1},
        {"users_page_size": 8, "connection_reset": 0.2},
    ],
    ids=lambda knobs: list(knobs)[-1],
)
def test_the_book_becomes_equal_in_spite_of(bench: Bench, world: GraphWorld, knobs: dict[str, Any]) -> None:
    world.turn(**{"seed": 7} | knobs)
    sync(bench, tries=30)
    change_something(world)
    sync(bench, tries=30)
    assert all(world.fired(name) > 0 for name in FAULTS & set(knobs))
    if "delta_unknown_member_type" not in knobs:
        assert_equal(bench, world)


def test_a_secret_that_was_replaced_pauses_the_tenant_until_the_new_one_is_given(
    bench: Bench, world: GraphWorld
) -> None:
    application = world.tenant.application
    application.client_secret = "another~secret"
    with pytest.raises(AccessError):
        bench.advance()
    assert bench.tenant()["state_code"] == "AADSTS7000215"
    bench.book.tenant(credential=seal_credential(Vault(settings()), ClientSecret("another~secret")))
    bench.advance(bench.look("r1"))
    assert bench.tenant()["state"] == "active"
    assert any("r1" in one["request_ids"] for one in bench.history())


def test_a_consent_that_is_given_works_at_the_very_next_look(bench: Bench, world: GraphWorld) -> None:
    roles = world.tenant.application.roles
    world.tenant.application.roles = ()
    with pytest.raises(AccessError):
        bench.advance()
    assert bench.tenant()["state_code"] == "Authorization_RequestDenied"
    world.tenant.application.roles = roles
    bench.advance(bench.look("r1"))
    assert bench.tenant()["state"] == "active"
