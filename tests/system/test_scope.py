"""A tenant whose book is limited to a group: the real processes follow who comes into it and who leaves."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.local.comparison import book_of_database, book_of_directory, differences
from deploy.local.system import System
from tests.support.eventually import eventually
from tests.support.limits import Limits
from tests.support.whole_system import await_equality, await_subscriptions, rows

pytestmark = pytest.mark.system

CONDITION = "accountEnabled = true"


def _trouble(system: System, limits: Limits) -> list[str]:
    control = system.simulated()
    directory = control.directory()
    expected = limits.narrowed(book_of_directory(directory), directory["users"])
    return differences(expected, book_of_database(system.database_url, control.tenant_id))


def _await_scope(system: System, limits: Limits) -> None:
    def equal() -> bool:
        found = _trouble(system, limits)
        assert not found, found[:10]
        return True

    eventually(equal, within_seconds=90, what="the part of the directory that is in the scope")


def _largest_group(system: System) -> dict[str, Any]:
    groups: list[dict[str, Any]] = system.simulated().directory()["groups"]
    return max(groups, key=lambda group: (len(group["members"]) < 40, len(group["members"])))


def test_the_book_follows_the_scope_while_the_directory_changes(system: System) -> None:
    system.start_simulator(users=80, groups=10)
    system.start_webhook()
    system.start_worker("worker-1")
    system.start_worker("worker-2")
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    await_equality(system)
    await_subscriptions(system)
    group = _largest_group(system)
    limits = Limits((group["id"],), CONDITION)

    said = system.entra_sms("tenants", "scope", "--group", group["id"], "--where", CONDITION, "--yes")

    assert "The scope of Nordwind is changed." in said
    _await_scope(system, limits)
    inside = {row["object_id"] for row in rows(system, "SELECT object_id FROM contacts")}
    assert 0 < len(inside) < 80

    system.simulated().call("POST", "random-changes", {"count": 200, "seed": 5})
    _await_scope(system, limits)

    assert {row["object_id"] for row in rows(system, "SELECT object_id FROM contacts")} != inside
    left = rows(system, "SELECT kind FROM changes WHERE reason IN ('out_of_scope', 'rescoped')")
    assert {row["kind"] for row in left} == {"contact.removed"}

    system.entra_sms("tenants", "scope", "--everybody", "--yes")
    await_equality(system)
