"""The main job with the real processes: simulator, webhook, broker, workers, database."""

import os
import random
import signal

import pytest

from deploy.local.system import System
from tests.support.eventually import eventually
from tests.support.whole_system import (
    await_equality,
    await_subscriptions,
    notification_of,
    notifications,
    post_notifications,
    rows,
    trouble,
)

pytestmark = pytest.mark.system


def _change(system: System, count: int, seed: int) -> None:
    system.simulated().call("POST", "random-changes", {"count": count, "seed": seed})


def test_the_first_sync_and_later_changes_make_the_book_equal(system: System) -> None:
    system.start_simulator(users=150, groups=15)
    system.start_webhook()
    system.start_worker()
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    assert trouble(system) == []
    await_subscriptions(system)

    _change(system, 60, seed=3)

    await_equality(system)
    assert notifications(system)["acknowledged"] > 0
    full = rows(system, "SELECT stream, reason FROM rounds WHERE mode = 'full' ORDER BY stream, reason")
    assert {row["reason"] for row in full} <= {"first_sync", "operator"}, "changes came by full rounds, not by delta"


def test_two_workers_and_faults_of_every_kind_end_equal(system: System) -> None:
    system.start_simulator(users=120, groups=12)
    system.start_webhook()
    system.start_worker("worker-1")
    system.start_worker("worker-2")
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    await_subscriptions(system)
    faults = {
        "notification_duplicate": 0.3,
        "notification_drop": 0.3,
        "delta_sparse_updates": 0.5,
        "delta_empty_pages": 1,
        "replication_lag_seconds": 1,
        "throttle_next": 3,
        "server_error_next": 3,
        "expire_next_tokens": 2,
    }
    system.simulated().call("PUT", "faults", {**faults, "retry_after_seconds": 1, "seed": 5})

    for seed in range(6):
        _change(system, 15, seed)

    await_equality(system)
    _change(system, 10, seed=7)  # announced at once, while delta does not show it yet
    await_equality(system)
    fired = system.simulated().fired()
    assert {knob for knob in faults if fired.get(knob)} == set(faults)


def test_a_worker_killed_between_pages_of_the_first_sync_is_replaced_and_the_sync_goes_on_where_it_was(
    system: System,
) -> None:
    slow_pages = ("--knob", "users_page_size=10", "--knob", "slow_response=1", "--knob", "slow_response_seconds=0.2")
    system.start_simulator(users=300, groups=10, options=slow_pages)
    # Polls come between the pages, and there are the more of them the longer it takes.
    unpolled = {"ENTRA_SMS_POLL_SECONDS": "3600"}
    worker = system.start_worker("worker-1", **unpolled)
    system.add_tenant()
    users = "SELECT * FROM streams WHERE stream = 'users'"
    eventually(
        lambda: rows(system, users)[0]["full_pages"] >= 8, within_seconds=60, what="some pages of the first sync"
    )

    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    killed_at = rows(system, users)[0]
    assert killed_at["full_began_at"] is not None, "the sync was over before the kill"
    system.start_worker("worker-2", **unpolled)

    await_equality(system)
    row = rows(system, users)[0]
    assert row["generation"] == 1
    assert row["last_full_began_at"] == killed_at["full_began_at"]
    first_rounds = rows(system, "SELECT * FROM rounds WHERE stream = 'users' AND mode = 'full'")
    assert [one["reason"] for one in first_rounds] == ["first_sync"]
    pages = first_rounds[0]["pages"]
    asked = system.simulated().call("GET", "statistics")["requests"]["GET /v1.0/users/delta"]["200"]
    # A page in hand and one ahead of it may have been fetched and not stored; the access check comes on top.
    assert asked < pages + killed_at["full_pages"], (
        f"the pages stored before the kill were read again: {asked}, {pages}"
    )


def test_with_every_notification_dropped_the_poll_alone_makes_the_book_equal(system: System) -> None:
    system.start_simulator(users=80, groups=8)
    system.start_webhook()
    system.start_worker()
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    await_subscriptions(system)
    system.simulated().call("PUT", "faults", {"notification_drop": 1.0})
    before = notifications(system).get("acknowledged", 0)

    _change(system, 40, seed=11)

    await_equality(system)
    after = notifications(system)
    assert after["dropped"] > 0
    assert after.get("acknowledged", 0) == before
    reasons = {row["reason"] for row in rows(system, "SELECT DISTINCT reason FROM rounds WHERE mode = 'incremental'")}
    assert "poll" in reasons
    assert "notification" not in reasons


def test_each_notification_replayed_three_times_in_shuffled_order_changes_nothing_twice(system: System) -> None:
    system.start_simulator(users=80, groups=8)
    system.start_webhook()
    system.start_worker(ENTRA_SMS_POLL_SECONDS="3600")
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    subscriptions = {one["resource"].strip("/"): one for one in await_subscriptions(system)}
    system.simulated().call("PUT", "faults", {"notification_drop": 1.0})
    before = system.simulated().changes_after(0)[-1:]
    _change(system, 40, seed=12)
    changes = system.simulated().changes_after(before[0]["seq"] if before else 0)
    items = [
        notification_of(system, change, subscriptions["users" if change["kind"].startswith("user.") else "groups"])
        for change in changes
    ] * 3
    random.Random(1).shuffle(items)

    for start in range(0, len(items), 4):
        post_notifications(system, items[start : start + 4])

    await_equality(system)
    assert notifications(system)["dropped"] > 0, "the simulator itself announced something"
    added = "SELECT object_id, COUNT(*) AS times FROM changes WHERE kind = 'contact.added' GROUP BY object_id"
    removed = "SELECT object_id FROM changes WHERE kind = 'contact.removed'"
    gone = {row["object_id"] for row in rows(system, removed)}
    assert [row for row in rows(system, added) if row["times"] > 1 and row["object_id"] not in gone] == []


def test_a_worker_ends_cleanly_on_sigterm_and_leaves_no_lease_behind(system: System) -> None:
    system.start_simulator(users=60, groups=6)
    worker = system.start_worker()
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")

    os.kill(worker.pid, signal.SIGTERM)

    assert worker.wait(30) == 0
    assert {row["lease_holder"] for row in rows(system, "SELECT lease_holder FROM streams")} == {None}
    assert "worker_ended" in worker.log.read_text()
