"""The control API: the truth, the changes, the clock, and strictness about bad input."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from simulator.app import create_app

if TYPE_CHECKING:
    from tests.contract.conftest import Endpoint, Simulate, Simulated


def changes(simulated: Simulated, after: int = 0) -> list[dict[str, Any]]:
    return simulated.control("GET", f"/changes?after={after}")["changes"]


def test_every_route_is_in_the_documentation(simulated: Simulated) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    documented = {
        (method, path)
        for methods, path in re.findall(r"^\| `([A-Z ]+) (/control\S*)` \|", text, flags=re.MULTILINE)
        for method in methods.split()
    }
    existing = set()
    for rule in create_app(simulated.world).url_map.iter_rules():
        path = re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", rule.rule).replace("{tenant_name}", "{tenant}")
        if path.startswith("/control"):
            existing |= {(method, path) for method in rule.methods - {"HEAD", "OPTIONS"}}
    assert documented == existing


def test_health_and_tenants_need_no_login(simulate: Simulate) -> None:
    simulated = simulate(tenants=2, users=3, groups=2)
    assert simulated.request("GET", "/control/health").json() == {"status": "ok", "tenants": 2}
    cards = simulated.request("GET", "/control/tenants").json()["tenants"]
    assert [card["tenant_id"] for card in cards] == list(simulated.world.tenants)
    assert {"domain", "client_id", "client_secret", "users", "groups"} <= set(cards[0])


def test_a_tenant_is_named_by_id_domain_or_default(simulate: Simulate) -> None:
    simulated = simulate(tenants=2)
    second = list(simulated.world.tenants.values())[1]
    for name in (second.id, second.domain):
        directory = simulated.request("GET", f"/control/tenants/{name}/directory").json()
        assert {user["id"] for user in directory["users"]} <= set(second.directory.truth.users)
    answer = simulated.request("GET", "/control/tenants/nobody/directory")
    assert (answer.status_code, answer.json()) == (404, {"error": "There is no tenant 'nobody'."})


def test_a_write_in_one_tenant_does_not_show_in_another(simulate: Simulate) -> None:
    simulated = simulate(tenants=2)
    simulated.hire("Only Here")
    second = list(simulated.world.tenants.values())[1]
    directory = simulated.request("GET", f"/control/tenants/{second.id}/directory").json()
    assert "Only Here" not in {user["displayName"] for user in directory["users"]}


def test_the_directory_shows_live_objects_with_everything_that_was_set(simulated: Simulated) -> None:
    person = simulated.hire(department="Sales", aboutMe="likes chess")
    gone, group = simulated.hire("Gone"), simulated.found()
    for member in (person, gone):
        simulated.join(group, member)
    simulated.control("DELETE", f"/users/{gone}")
    directory = simulated.control("GET", "/directory")
    users = {user["id"]: user for user in directory["users"]}
    assert gone not in users
    assert users[person]["department"] == "Sales"
    assert users[person]["aboutMe"] == "likes chess"
    [shown] = [each for each in directory["groups"] if each["id"] == group]
    assert shown["members"] == [{"id": person, "type": "user"}]
    assert shown["displayName"] == "Test Group"


def test_every_write_is_told_as_one_change(simulated: Simulated) -> None:
    began = time.time()
    person, group = simulated.hire("Anna Nowak"), simulated.found("Sales")
    path = f"/users/{person}"
    simulated.control("PATCH", path, {"mobilePhone": "+48501000000"})
    simulated.control("PATCH", path, {"accountEnabled": False})
    simulated.control("PATCH", path, {"accountEnabled": True})
    simulated.control("PATCH", path, {"displayName": "Anna Kowalska"})
    simulated.control("PATCH", path, {"department": "Finance"})
    simulated.join(group, person)
    simulated.part(group, person)
    simulated.control("PATCH", f"/groups/{group}", {"displayName": "Sales Poland"})
    simulated.control("PATCH", f"/groups/{group}", {"description": "new"})
    simulated.control("DELETE", f"/groups/{group}")
    simulated.control("POST", f"/groups/{group}/restore")
    simulated.control("DELETE", path)
    simulated.control("POST", f"{path}/restore")
    simulated.control("POST", f"{path}/purge")
    found = changes(simulated)
    assert [change["kind"] for change in found] == [
        "user.created",
        "group.created",
        "user.number_changed",
        "user.disabled",
        "user.enabled",
        "user.renamed",
        "user.changed",
        "member.added",
        "member.removed",
        "group.renamed",
        "group.changed",
        "group.removed",
        "group.restored",
        "user.removed",
        "user.restored",
        "user.purged",
    ]
    assert [change["seq"] for change in found] == list(range(1, 17))
    assert all(began <= change["at"] <= time.time() for change in found)
    assert found[2]["summary"] == "Anna Nowak changed the mobile number"
    assert found[7]["member_id"] == person
    assert found[7]["object_id"] == group
    assert [change["seq"] for change in changes(simulated, after=14)] == [15, 16]


def test_a_write_without_a_difference_is_no_change(simulated: Simulated) -> None:
    person = simulated.hire(jobTitle="Engineer")
    before = simulated.control("GET", "/changes")["head"]
    simulated.control("PATCH", f"/users/{person}", {"jobTitle": "Engineer"})
    assert simulated.control("GET", "/changes")["head"] == before


def test_null_clears_a_property(simulated: Simulated) -> None:
    person = simulated.hire(jobTitle="Engineer")
    assert simulated.control("PATCH", f"/users/{person}", {"jobTitle": None})["jobTitle"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/users", {"displayName": "Nameless"}, 400),
        ("POST", "/users", {"displayName": "X", "userPrincipalName": "x@y", "shoeSize": 42}, 400),
        ("POST", "/users", {"displayName": "X", "userPrincipalName": "x@y", "mobilePhone": 501}, 400),
        ("POST", "/users", {"displayName": "X", "userPrincipalName": "x@y", "mobilePhone": "5" * 65}, 400),
        ("POST", "/users", {"displayName": "X", "userPrincipalName": "x@y", "businessPhones": "501"}, 400),
        ("POST", "/users", {"displayName": "X", "userPrincipalName": "x@y", "accountEnabled": "yes"}, 400),
        ("POST", "/users", {"displayName": "X", "userPrincipalName": "x@y", "manager": "nobody"}, 404),
        ("POST", "/users", [], 400),
        ("POST", "/groups", {}, 400),
        ("POST", "/groups", {"displayName": "X", "manager": "somebody"}, 400),
        ("PATCH", "/users/{user}", {"displayName": None}, 400),
        ("PATCH", "/users/{user}", {"deletedDateTime": "2026-01-01T00:00:00Z"}, 400),
        ("PATCH", "/users/{user}", {"userPrincipalName": "TAKEN.name@{domain}"}, 409),
        ("PATCH", "/users/{unknown}", {"displayName": "X"}, 404),
        ("DELETE", "/users/{unknown}", None, 404),
        ("POST", "/users/{user}/restore", None, 404),
        ("POST", "/users/{unknown}/purge", None, 404),
        ("PATCH", "/groups/{user}", {"displayName": "X"}, 404),
        ("POST", "/groups/{group}/members", {"id": "{unknown}"}, 404),
        ("POST", "/groups/{group}/members", {}, 400),
        ("DELETE", "/groups/{group}/members/{unknown}", None, 404),
        ("GET", "/changes?after=yesterday", None, 400),
        ("POST", "/random-changes", {"count": 0}, 400),
        ("POST", "/random-changes", {"count": 1, "sede": 1}, 400),
        ("PUT", "/lively", {"changes_per_second": 0}, 400),
        ("PUT", "/lively", {}, 400),
        ("POST", "/clock", {"advance_seconds": -1}, 400),
        ("PUT", "/clock", {"speed": 0}, 400),
        ("PUT", "/permissions", {"roles": "User.Read.All"}, 400),
        ("PUT", "/credentials", {"client_secret": ""}, 400),
        ("PUT", "/credentials", {"certificate_pem": "no certificate"}, 400),
        ("PUT", "/credentials", {"expired": "yes"}, 400),
    ],
)
def test_bad_input_is_refused_with_a_sentence_and_changes_nothing(
    simulated: Simulated, method: str, path: str, body: Any, status: int
) -> None:
    names = {
        "user": simulated.hire(),
        "group": simulated.found(),
        "unknown": str(uuid.uuid4()),
        "domain": simulated.tenant.domain,
    }
    simulated.hire("Taken Name")
    before = simulated.control("GET", "/changes")["head"]
    if isinstance(body, dict):
        body = {key: value.format(**names) if isinstance(value, str) else value for key, value in body.items()}
    answer = simulated.control(method, path.format(**names), body, expect=status)
    assert answer["error"].rstrip(".").strip()
    assert simulated.control("GET", "/changes")["head"] == before


def test_joining_twice_is_a_conflict(simulated: Simulated) -> None:
    group, person = simulated.found(), simulated.hire()
    simulated.join(group, person)
    simulated.control("POST", f"/groups/{group}/members", {"id": person}, expect=409)


def test_a_name_in_the_recycle_bin_is_free_and_blocks_the_return(simulated: Simulated) -> None:
    person = simulated.hire("Anna Nowak")
    simulated.control("DELETE", f"/users/{person}")
    simulated.hire("Anna Nowak")
    simulated.control("POST", f"/users/{person}/restore", expect=409)


def test_the_clock_can_be_moved_and_sped_up(simulated: Simulated) -> None:
    before = simulated.control("GET", "/clock")
    after = simulated.control("POST", "/clock", {"advance_seconds": 86_400})
    assert after["now"] - before["now"] >= 86_400
    assert after["wall"] - before["wall"] < 60
    assert simulated.control("PUT", "/clock", {"speed": 1_000})["speed"] == 1_000
    begin = simulated.clock.now()
    while simulated.clock.now() < begin + 100:
        pass
    assert simulated.clock.wall() - after["wall"] < 60


def test_statistics_count_requests_by_route_and_status(simulated: Simulated) -> None:
    simulated.get("/users?$top=1")
    simulated.graph("GET", f"/users/{uuid.uuid4()}")
    report = simulated.control("GET", "/statistics")
    assert report["requests"]["GET /v1.0/users"] == {"200": 1}
    assert report["requests"]["GET /v1.0/users/<user_id>"] == {"404": 1}
    assert report["requests"]["POST /<tenant>/oauth2/v2.0/token"] == {"200": 1}
    assert report["resource_units"] == 2


def test_notifications_are_counted_by_what_became_of_them(simulated: Simulated, endpoint: Endpoint) -> None:
    simulated.subscribe(endpoint)
    simulated.hire()
    simulated.wait_for("notifications", "acknowledged", 1)
    report = simulated.control("GET", "/statistics")["notifications"]
    assert report == {"created": 1, "sent": 1, "acknowledged": 1}
