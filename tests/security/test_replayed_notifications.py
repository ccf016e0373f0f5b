"""Genuine notifications, recorded and sent again by somebody: they cost a look at the directory and change nothing."""

from __future__ import annotations

import random

import pytest

from deploy.local.system import System
from tests.support.eventually import eventually
from tests.support.whole_system import (
    await_equality,
    await_subscriptions,
    notification_of,
    post_notifications,
    rows,
    trouble,
)

pytestmark = pytest.mark.system

TIMES = 300
ITEMS_A_POST = 30


def test_what_is_replayed_hundreds_of_times_changes_nothing_and_brings_nobody_back(system: System) -> None:
    system.start_simulator(users=40, groups=4)
    webhook = system.start_webhook()
    system.start_worker(ENTRA_SMS_POLL_SECONDS="3600")
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    users = next(one for one in await_subscriptions(system) if one["resource"].strip("/") == "users")
    control = system.simulated()
    person = control.call("POST", "users", {"displayName": "Eve", "userPrincipalName": f"eve@{control.domain}"})
    control.call("PATCH", f"users/{person['id']}", {"mobilePhone": "+48501234567"})
    await_equality(system)
    control.call("DELETE", f"users/{person['id']}")
    await_equality(system)
    of_users = [one for one in control.changes_after(0) if one["object_id"] == person["id"]]
    assert len(of_users) == 3
    before = rows(system, "SELECT * FROM changes ORDER BY sequence")
    asked_before, queued = control.graph_requests(), webhook.log.read_text().count("notifications_queued")

    items = [notification_of(system, one, users) for one in of_users] * (TIMES // 3)
    random.Random(1).shuffle(items)
    for start in range(0, TIMES, ITEMS_A_POST):
        post_notifications(system, items[start : start + ITEMS_A_POST])
    eventually(lambda: control.graph_requests() > asked_before, what="a look at the directory")
    system.entra_sms("sync", "--wait")  # what was asked before it is done when this is

    assert webhook.log.read_text().count("notifications_queued") >= queued + TIMES // ITEMS_A_POST
    assert rows(system, "SELECT * FROM changes ORDER BY sequence") == before
    assert trouble(system) == []
    assert control.graph_requests() - asked_before < TIMES, "each replay costs a request to Graph"
