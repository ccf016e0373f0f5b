"""`entra-sms tenants scope` and `tenants add --scope-...`: what is shown first is what happens then."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from common.db import tenants
from common.db.tables import tenants as tenants_table
from common.db.tenants import Tenant, seal_credential
from common.graph.credentials import ClientSecret
from common.messages import Stream
from common.scope import EVERYBODY
from common.secrets import Vault
from simulator.certificates import Authority, ensure_authority
from tests.support.bench import Bench, settings
from tests.support.book import Book, add_tenant, book, guid
from tests.support.console import EntraSms
from tests.support.graph_world import GraphWorld, graph_world
from worker.clients import Clients

NOBODY = "amqp://guest:password-of-the-broker@127.0.0.1:1/%2F"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("simulator"))


@pytest.fixture
def world(authority: Authority, tmp_path: Path) -> Iterator[GraphWorld]:
    with graph_world(authority, tmp_path, users=60, groups=12) as world:
        yield world


@pytest.fixture
def bench(world: GraphWorld, database_url: str) -> Iterator[Bench]:
    application = world.tenant.application
    with book(database_url) as found:
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
        known = settings(follow_up_seconds="0.001,0.002,0.003", **world.settings)
        yield Bench(Book(found.database, world.tenant.id), known, Clients(known))


@pytest.fixture
def entra_sms(world: GraphWorld, database_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url, "amqp_url": NOBODY} | world.settings)


def sync(bench: Bench) -> None:
    for stream in (Stream.GROUPS, Stream.USERS, Stream.USERS):
        bench.advance(stream=stream)


def stored(bench: Bench) -> Tenant:
    with bench.book.database.read() as connection:
        found = tenants.get(connection, bench.book.tenant_id)
    assert found is not None
    return found


def people(world: GraphWorld) -> dict[str, dict[str, Any]]:
    truth = world.tenant.directory.truth
    return {one: truth.objects[one].properties for one in truth.users if truth.live(one)}


def reached(world: GraphWorld, *group_ids: str) -> set[str]:
    """By brute force: everybody in the groups and in the groups in them."""
    truth = world.tenant.directory.truth
    seen, waiting = set(group_ids), list(group_ids)
    while waiting:
        group = waiting.pop()
        new = {one for one in truth.members.get(group, ()) if truth.live(one)} - seen if truth.live(group) else set()
        seen |= new
        waiting += [one for one in new if one in truth.groups]
    return seen & people(world).keys()


def facts(text: str) -> dict[str, str]:
    lines = [line.split("  ", 1) for line in text.splitlines() if "  " in line.strip()]
    return {name.strip(): value.strip() for name, value in lines}


def some_group(world: GraphWorld) -> tuple[str, str]:
    """A group that reaches some of the people: its id and name."""
    truth = world.tenant.directory.truth
    names = [truth.objects[one].properties["displayName"] for one in truth.groups]
    for one in sorted(truth.groups):
        name = truth.objects[one].properties["displayName"]
        if truth.live(one) and 3 <= len(reached(world, one)) <= 40 and names.count(name) == 1:
            return one, name
    raise AssertionError("no group of the simulated company reaches some of the people")


def test_without_options_the_scope_is_shown(bench: Bench, entra_sms: EntraSms) -> None:
    ended = entra_sms("tenants", "scope")

    assert (ended.code, ended.out.split(maxsplit=1)[0]) == (0, "Scope")
    assert "everybody in the directory" in ended.out
    assert "To change it: entra-sms tenants scope Nordwind --group GROUP" in ended.words


def test_what_is_shown_first_is_what_happens_then(bench: Bench, entra_sms: EntraSms, world: GraphWorld) -> None:
    sync(bench)
    everybody = people(world)
    group_id, name = some_group(world)
    condition = 'accountEnabled = true and userType != "Guest"'
    inside = {
        one
        for one in reached(world, group_id)
        if everybody[one].get("accountEnabled") and everybody[one].get("userType") != "Guest"
    }
    options = ("tenants", "scope", "Nordwind", "--group", name, "--where", condition)

    shown = entra_sms(*options)

    assert shown.code == 0
    found = facts(shown.out)
    assert found["Directory"] == f"{len(everybody)} people, of whom {len(inside)} belong in the book"
    assert found["Come in"] == "0"
    assert found["Leave"].startswith(f"{len(everybody) - len(inside)}: ")
    assert "Nothing was changed. To change it, give --yes as well." in shown.words
    assert stored(bench).scope == EVERYBODY
    sync(bench)
    assert bench.people() == everybody.keys()

    done = entra_sms(*options, "--yes")

    assert done.code == 0
    assert "The scope of Nordwind is changed." in done.out
    sync(bench)
    assert bench.people() == inside
    assert bench.history()[-1]["reason"] == "scope_changed"
    assert f"people in {name}, directly or through groups in it, with {condition}" in entra_sms("tenants", "show").out

    widened = entra_sms("tenants", "scope", "--everybody", "--yes")

    assert facts(widened.out)["Come in"] == str(len(everybody) - len(inside))
    assert facts(widened.out)["Leave"] == "0"
    sync(bench)
    assert bench.people() == everybody.keys()


def test_the_same_scope_again_changes_nothing(bench: Bench, entra_sms: EntraSms) -> None:
    sync(bench)
    assert entra_sms("tenants", "scope", "--where", 'department="Sales"', "--yes").code == 0

    again = entra_sms("tenants", "scope", "--where", "Department = 'Sales'", "--yes")

    assert again.out == "That is the scope of Nordwind already. Nothing was changed.\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--where", "departement = 'Sales'"), "Did you mean department?"),
        (("--where", "department = Sales"), "The condition cannot be read from its character 14 on:"),
        (("--group", "No such group"), "No group of Nordwind is called 'No such group'."),
        (("--everybody", "--where", "country = 'PL'"), "--everybody is no limit at all"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    bench: Bench, entra_sms: EntraSms, options: tuple[str, ...], expected: str
) -> None:
    sync(bench)
    ended = entra_sms("tenants", "scope", *options)

    assert ended.code != 0
    assert expected in ended.words
    assert stored(bench).scope == EVERYBODY


def test_before_the_groups_are_read_nobody_can_tell_whom_they_reach(
    bench: Bench, entra_sms: EntraSms, world: GraphWorld
) -> None:
    bench.book.group("Staff", object_id=some_group(world)[0])

    ended = entra_sms("tenants", "scope", "--group", "Staff", "--yes")

    assert ended.code == 1
    assert "The groups have not been read in full yet" in ended.words
    assert stored(bench).scope == EVERYBODY


def test_while_graph_cannot_be_asked_nothing_is_changed(bench: Bench, entra_sms: EntraSms, world: GraphWorld) -> None:
    sync(bench)
    world.turn(server_error_next=50)

    ended = entra_sms("tenants", "scope", "--where", 'country = "PL"', "--yes")

    assert ended.code == 4
    assert "The directory could not be read, so what would change is not known." in ended.words
    assert ended.words.rstrip().endswith("Nothing was changed.")
    assert world.fired("server_error_next") > 0
    assert stored(bench).scope == EVERYBODY


def test_a_person_is_told_on_a_terminal_and_can_say_no(bench: Bench, entra_sms: EntraSms) -> None:
    sync(bench)
    options = ("tenants", "scope", "--where", "department is empty")

    refused = entra_sms.on_terminal(*options, dialogue=[("Change it? [y/N]", "n")])

    assert (refused.code, "Nothing was changed." in refused.out) == (0, True)
    assert stored(bench).scope == EVERYBODY
    assert entra_sms.on_terminal(*options, dialogue=[("Change it? [y/N]", "y")]).code == 0
    assert stored(bench).scope.condition_text == "department is empty"


def test_explain_tells_who_is_outside(bench: Bench, entra_sms: EntraSms, world: GraphWorld) -> None:
    sync(bench)
    leaver = next(one for one, values in sorted(people(world).items()) if values.get("department"))
    assert entra_sms("tenants", "scope", "--where", "department is empty", "--yes").code == 0
    sync(bench)

    explained = entra_sms("explain", leaver, "--live")

    assert "outside the scope, which an operator had changed" in explained.out
    assert "The person is outside the scope of the tenant: entra-sms tenants scope Nordwind shows it." in " ".join(
        explained.out.split()
    )
    stranger = world.tenant.directory.create(
        "user", {"displayName": "Nova", "userPrincipalName": "nova@nordwind.example", "department": "Sales"}
    )
    sync(bench)
    unknown = entra_sms("explain", stranger.id)
    assert "nobody with this id was ever in the tenant's scope" in " ".join(unknown.out.split())
    assert unknown.code == 1


def test_a_directory_can_be_connected_with_a_scope(
    bench: Bench, entra_sms: EntraSms, world: GraphWorld, tmp_path: Path
) -> None:
    with bench.book.database.write() as connection:
        connection.execute(delete(tenants_table))
    application = world.tenant.application
    secret = tmp_path / "secret"
    secret.write_text(application.client_secret)
    group_id, _ = some_group(world)
    options = (
        *("tenants", "add", "--name", "Nordwind", "--tenant-id", world.tenant.id, "--client-id", application.client_id),
        *("--client-secret-file", str(secret), "--agreement-reference", "DPA-1", "--agreement-date", "2026-01-02"),
    )

    nowhere = entra_sms(*options, "--scope-group", guid("no group"))
    assert (nowhere.code, "The directory has no group" in nowhere.words) == (2, True)
    assert entra_sms(*options, "--scope-group", "Sales").code == 2

    added = entra_sms(*options, "--scope-group", group_id, "--scope-where", "accountEnabled = true")

    assert added.code == 0
    sync(bench)
    sync(bench)
    everybody = people(world)
    assert bench.people() == {one for one in reached(world, group_id) if everybody[one].get("accountEnabled")}
    again = entra_sms(*options, "--scope-where", "accountEnabled = true")
    assert (again.code, "Change its scope with: entra-sms tenants scope" in again.words) == (2, True)
