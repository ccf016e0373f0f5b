"""A tenant is paused, goes on, and is removed, with the real processes in the middle of their work."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import func, select

from common.db.tables import metadata
from deploy.local.system import System
from simulator.certificates import ensure_authority
from tests.support.eventually import eventually
from tests.support.graph_world import endpoint
from tests.support.running_worker import Queues
from tests.support.whole_system import (
    await_equality,
    await_subscriptions,
    notification_of,
    post_notifications,
    rows,
    trouble,
)

pytestmark = pytest.mark.system

REMOVE = ("tenants", "remove", "Nordwind", "--erase", "--yes")
TROUBLES = ("Traceback", "dead_letter", "errand_failed", "reconcile_failed", "turn_unsettled", "tick_failed")
"""What a worker's log must not say of a tenant that went away under its hands."""


def _at_graph(system: System) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = system.simulated().call("GET", "subscriptions")["subscriptions"]
    return found


def _left_behind(system: System) -> dict[str, int]:
    """Return the tables that still have rows of a tenant, with how many."""
    counts = {
        table.name: rows(system, str(select(func.count().label("n")).where(table.c.tenant_id.is_not(None))))[0]["n"]
        for table in metadata.sorted_tables
        if "tenant_id" in table.c
    }
    return {name: count for name, count in counts.items() if count}


def _await_quiet(system: System) -> None:
    """Wait until nothing waits in the queues of the workers; nothing has become a dead letter by then."""
    queues = Queues(system.amqp_url)
    names = ("sync.requests", "sync.commands", "sync.lifecycle")
    eventually(lambda: not any(queues.count(name) for name in names), what="empty queues")
    assert queues.count("sync.dead-letters") == 0


def test_a_paused_tenant_stays_as_it_is_and_catches_up_when_it_goes_on(system: System) -> None:
    system.start_simulator(users=60, groups=6)
    system.start_webhook()
    system.start_worker()
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    before = await_subscriptions(system)

    system.entra_sms("tenants", "pause", "Nordwind", "--reason", "moves")
    eventually(lambda: not _at_graph(system), within_seconds=60, what="no subscription at Graph")
    system.simulated().call("POST", "random-changes", {"count": 40, "seed": 3})
    missed = trouble(system)
    assert missed
    # A notification that was on its way comes to nothing, and to no dead letter.
    user = next(one for one in system.simulated().changes_after(0) if one["kind"].startswith("user."))
    users = next(one for one in before if one["resource"] == "users")
    post_notifications(system, [notification_of(system, user, users)])
    _await_quiet(system)
    assert trouble(system) == missed
    assert "moves" in system.entra_sms("status")

    system.entra_sms("tenants", "resume", "Nordwind")

    await_equality(system)
    after = await_subscriptions(system)
    assert not {one["id"] for one in after} & {one["id"] for one in before}


def test_a_tenant_that_is_removed_during_its_first_sync_leaves_nothing_behind(system: System) -> None:
    slow_pages = ("--knob", "users_page_size=10", "--knob", "slow_response=1", "--knob", "slow_response_seconds=0.2")
    system.start_simulator(users=600, groups=10, options=slow_pages)
    system.start_webhook()
    workers = [system.start_worker("worker-1"), system.start_worker("worker-2")]
    system.add_tenant()
    under_way = "SELECT full_pages FROM streams WHERE stream = 'users' AND full_pages > 3"
    eventually(lambda: rows(system, under_way), within_seconds=60, what="pages of the first sync")

    said = system.entra_sms(*REMOVE)

    assert "Erased Nordwind: " in said
    assert " contacts, " in said
    assert "the credential and all settings." in said
    assert "No subscription of it is left at Graph." in said
    assert _left_behind(system) == {}
    _await_quiet(system)
    for worker in workers:
        worker.stop()
        log = worker.log.read_text()
        assert not [word for word in TROUBLES if word in log], log
    assert _left_behind(system) == {}
    assert _at_graph(system) == []
    assert Queues(system.amqp_url).count("sync.dead-letters") == 0


def test_a_subscription_that_a_worker_is_about_to_make_for_a_removed_tenant_does_not_stay(system: System) -> None:
    system.start_simulator(users=20, groups=2, options=("--knob", "handshake_timeout_seconds=100"))
    authority = ensure_authority(system.directory / "simulator")
    go_on = threading.Event()
    with endpoint(authority, system.directory) as hook:
        hook.meanwhile = lambda: go_on.wait(60)
        system.public_port = int(hook.url.rpartition(":")[2])
        worker = system.start_worker(ENTRA_SMS_GRAPH_TIMEOUT_SECONDS="100", ENTRA_SMS_LEASE_SECONDS="200")
        system.add_tenant()
        eventually(lambda: hook.validations, within_seconds=60, what="a subscription that is being made")

        said = system.entra_sms(*REMOVE)

        assert "No subscription of it is left at Graph." in said
        go_on.set()
        eventually(lambda: _posted(system, 201), what="the subscription that was begun before")
        eventually(lambda: not _at_graph(system), within_seconds=60, what="no subscription at Graph")
    worker.stop()
    log = worker.log.read_text()
    assert "reconciliation_stopped" in log
    assert not [word for word in TROUBLES if word in log], log
    assert _left_behind(system) == {}


def _posted(system: System, status: int) -> int:
    """Return how many subscriptions the simulator was asked for and answered so."""
    by_route: dict[str, dict[str, int]] = system.simulated().call("GET", "statistics")["requests"]
    return sum(counts.get(str(status), 0) for route, counts in by_route.items() if route == "POST /v1.0/subscriptions")
