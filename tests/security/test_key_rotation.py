"""A change of the server key, with the real processes: nothing stops, and in the end the old key is worth nothing."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from sqlalchemy import update

from common import config
from common.client_state import ClientStates
from common.clock import utc_now
from common.db.engine import Database
from common.db.tables import tenants
from common.messages import Stream
from common.secrets import Vault
from deploy.local.processes import Process
from deploy.local.system import System
from tests.support.eventually import eventually
from tests.support.whole_system import await_equality, await_subscriptions, rows, trouble

pytestmark = pytest.mark.system

ONLY_NOTIFIED = {"ENTRA_SMS_POLL_SECONDS": "3600"}
REFUSED = "wrong_client_state"


def started(system: System) -> tuple[Process, Process]:
    """A system whose book equals the directory, with webhook, worker and two subscriptions."""
    system.start_simulator(users=40, groups=4)
    webhook, worker = system.start_webhook(), system.start_worker()
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    assert trouble(system) == []
    await_subscriptions(system)
    return webhook, worker


def replace_key(system: System, *, keep_previous: bool) -> None:
    """What an operator does to the files of the key; processes read them when they start."""
    key_file, previous_file = system.directory / "secret-key", system.directory / "secret-key-previous"
    previous_file.write_text(key_file.read_text())
    key_file.write_text(secrets.token_hex(32))
    previous = {"ENTRA_SMS_SECRET_KEY_PREVIOUS_FILE": str(previous_file)} if keep_previous else {}
    system.settings = {**system.settings, **previous}


def forget_previous_key(system: System) -> None:
    (system.directory / "secret-key-previous").write_text("")


def key_alone(system: System) -> config.Settings:
    """The settings of a process that knows the current key and no other."""
    return config.load({"ENTRA_SMS_SECRET_KEY_FILE": str(system.directory / "secret-key")})


def make_subscriptions_due(system: System) -> None:
    """Move the time on to when the worker looks at the subscriptions, which it does every hour."""
    database = Database.from_url(system.database_url)
    with database.write() as connection:
        connection.execute(update(tenants).values(reconcile_at=utc_now()))
    database.close()


def await_new_subscriptions(system: System, old: set[str]) -> list[dict[str, Any]]:
    def replaced() -> bool:
        found = await_subscriptions(system)
        return not {one["id"] for one in found} & old

    eventually(replaced, within_seconds=60, what="two new subscriptions")
    return await_subscriptions(system)


def change(system: System, seed: int) -> None:
    system.simulated().call("POST", "random-changes", {"count": 20, "seed": seed})


def test_after_a_rotation_the_old_key_can_go_and_notifications_never_stopped(system: System) -> None:
    webhook, worker = started(system)
    old = {one["id"] for one in await_subscriptions(system)}
    worker.stop()
    webhook.stop()
    replace_key(system, keep_previous=True)
    webhook, worker = system.start_webhook("webhook-2"), system.start_worker("worker-2", **ONLY_NOTIFIED)
    change(system, seed=1)  # announced with the clientState of the old key
    await_equality(system)
    assert {one["id"] for one in await_subscriptions(system)} == old

    make_subscriptions_due(system)
    states = ClientStates.from_settings(key_alone(system))
    for one in await_new_subscriptions(system, old):
        stream = Stream(one["resource"].strip("/"))
        assert states.proven_stream(one["clientState"], system.simulated().tenant_id) is stream
    [tenant] = rows(system, "SELECT credential FROM tenants")
    assert system.simulated().client_secret in Vault(key_alone(system)).open(tenant["credential"])

    worker.stop()
    webhook.stop()
    forget_previous_key(system)
    rotated, worker = system.start_webhook("webhook-3"), system.start_worker("worker-3", **ONLY_NOTIFIED)
    change(system, seed=2)
    await_equality(system)
    assert REFUSED not in webhook.log.read_text() + rotated.log.read_text()
    assert "notifications_queued" in rotated.log.read_text()


def test_an_old_key_that_goes_too_early_costs_notifications_and_nothing_else(system: System) -> None:
    webhook, worker = started(system)
    old = {one["id"] for one in await_subscriptions(system)}
    worker.stop()
    webhook.stop()
    replace_key(system, keep_previous=True)
    make_subscriptions_due(system)
    sealing = system.start_worker("sealing", ENTRA_SMS_PUBLIC_URL="")  # it knows both keys, and does not subscribe
    eventually(lambda: "credential_sealed_anew" in sealing.log.read_text(), what="the credential sealed anew")
    sealing.stop()
    forget_previous_key(system)

    webhook = system.start_webhook("webhook-2")
    worker = system.start_worker("worker-2")
    change(system, seed=1)
    await_equality(system)
    eventually(lambda: REFUSED in webhook.log.read_text(), what="a refused notification")
    assert {one["id"] for one in await_subscriptions(system)} == old
    reasons = {row["reason"] for row in rows(system, "SELECT DISTINCT reason FROM rounds WHERE mode = 'incremental'")}
    assert "poll" in reasons
    assert rows(system, "SELECT state FROM tenants") == [{"state": "active"}]

    make_subscriptions_due(system)
    await_new_subscriptions(system, old)
    seen = webhook.log.read_text().count("notifications_queued")
    change(system, seed=2)
    await_equality(system)
    eventually(
        lambda: webhook.log.read_text().count("notifications_queued") > seen, what="a notification that is taken"
    )
