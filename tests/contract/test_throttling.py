"""Section "Throttling": what requests cost, when too many are refused, and how the refusal looks."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Simulate, Simulated


@pytest.mark.parametrize(
    ("path", "units"),
    [
        ("/users", 2),
        ("/users?$select=id", 1),
        ("/users?$top=1", 1),
        ("/users/delta?$select=displayName", 1),
        ("/groups", 1),
        ("/groups/{group}/members", 3),
        ("/groups/{group}/members?$select=id", 2),
        ("/groups/{group}/members?$select=id&$top=5", 1),
        ("/groups/{group}/transitiveMembers", 5),
        ("/users/{user}/memberOf", 2),
    ],
)
def test_requests_cost_what_the_table_says(simulated: Simulated, path: str, units: int) -> None:
    path = path.format(group=simulated.found(), user=simulated.hire())
    assert simulated.graph("GET", path).headers["x-ms-resource-unit"] == str(units)


def spend(simulated: Simulated, units: int) -> None:
    """Use up resource units as if a client had."""
    simulated.tenant.throttle.admit(units, low_priority=False, scope="")


def test_a_small_tenant_has_3500_units_in_ten_seconds(simulated: Simulated) -> None:
    spend(simulated, 3_498)
    assert simulated.graph("GET", "/groups").status_code == 200
    assert simulated.graph("GET", "/users").status_code == 429
    simulated.advance(11)
    assert simulated.graph("GET", "/users").status_code == 200


def test_larger_tenants_have_more(simulate: Simulate) -> None:
    medium = simulate(users=60)
    spend(medium, 4_900)
    assert medium.graph("GET", "/users").status_code == 200
    large = simulate(users=600)
    spend(large, 7_900)
    assert large.graph("GET", "/users").status_code == 200
    spend(large, 90)
    assert {large.graph("GET", "/users").status_code for _ in range(8)} == {200, 429}


def test_low_priority_is_throttled_first(simulated: Simulated) -> None:
    spend(simulated, 3_300)
    assert simulated.graph("GET", "/users", headers={"x-ms-throttle-priority": "Low"}).status_code == 429
    assert simulated.graph("GET", "/users").status_code == 200


def test_the_share_of_the_limit_shows_only_when_it_is_high(simulated: Simulated) -> None:
    assert "x-ms-throttle-limit-percentage" not in simulated.graph("GET", "/users").headers
    spend(simulated, 3_000)
    share = float(simulated.graph("GET", "/users").headers["x-ms-throttle-limit-percentage"])
    assert 0.8 < share < 1.0


def test_a_refusal_names_its_scope_and_reason(simulated: Simulated) -> None:
    simulated.turn(throttle_next=1)
    answer = simulated.graph("GET", "/users")
    application = simulated.tenant.application.client_id
    assert answer.headers["x-ms-throttle-scope"] == f"Tenant_Application/ReadWrite/{application}/{simulated.tenant.id}"
    assert answer.headers["x-ms-throttle-information"] == "ResourceUnitLimitExceeded"
    error = answer.json()["error"]
    assert error["code"] == "TooManyRequests"
    assert error["innerError"]["code"] == "429"
    assert simulated.fired("throttle_next") == 1


@pytest.mark.parametrize("form", ["integer", "decimal", "date", "absent"])
def test_retry_after_comes_in_every_form(simulated: Simulated, form: str) -> None:
    simulated.turn(throttle_next=1, retry_after=form, retry_after_seconds=2.128)
    value = simulated.graph("GET", "/users").headers.get("Retry-After")
    if form == "integer":
        assert value == "2"
    elif form == "decimal":
        assert value == "2.128"
    elif form == "date":
        assert parsedate_to_datetime(value).tzinfo is not None
    else:
        assert value is None


def test_the_login_can_be_throttled_too(simulated: Simulated) -> None:
    simulated.turn(throttle_login=1.0)
    answer = simulated.token()
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "2"
    assert answer.json()["error"] == "temporarily_unavailable"
    assert simulated.fired("throttle_login") == 1
