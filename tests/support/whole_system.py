"""What the tests of the whole system do with it: compare, count, look into the database."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import requests
from sqlalchemy import create_engine, text

from deploy.local.comparison import book_of_database, book_of_directory, differences
from deploy.local.system import System
from tests.support.eventually import eventually

# What waits for minutes in production must not make a test wait for minutes.
IMPATIENT = {
    "ENTRA_SMS_FOLLOW_UP_SECONDS": "1,5,15",
    "ENTRA_SMS_POLL_SECONDS": "5",
    "ENTRA_SMS_GRAPH_TIMEOUT_SECONDS": "4",
    "ENTRA_SMS_LEASE_SECONDS": "5",
}


def trouble(system: System) -> list[str]:
    """Return every difference between the address book and the directory as it is now."""
    control = system.simulated()
    expected = book_of_directory(control.directory())
    return differences(expected, book_of_database(system.database_url, control.tenant_id))


def await_equality(system: System, *, within_seconds: float = 90.0) -> None:
    """Wait until the address book equals the directory; fail with the differences that are left."""

    def equal() -> bool:
        found = trouble(system)
        assert not found, found[:10]
        return True

    eventually(equal, within_seconds=within_seconds, what="address book equal to the directory")


def rows(system: System, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query on the system's database."""
    engine = create_engine(system.database_url)
    try:
        with engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]
    finally:
        engine.dispose()


def notifications(system: System) -> dict[str, int]:
    """Return what became of the simulator's notifications: created, sent, acknowledged, dropped, ..."""
    counts: dict[str, int] = system.simulated().call("GET", "statistics")["notifications"]
    return counts


def await_subscriptions(system: System) -> list[dict[str, Any]]:
    """Wait until both subscriptions exist; return them as the simulator knows them, with their clientState."""

    def both() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = system.simulated().call("GET", "subscriptions")["subscriptions"]
        assert len(found) == 2, rows(system, "SELECT state, subscription_trouble, reconcile_at FROM tenants")
        return found

    return eventually(both, within_seconds=60, what="two subscriptions")


def notification_of(system: System, change: dict[str, Any], subscription: dict[str, Any]) -> dict[str, Any]:
    """Return what Graph would say of a change: nothing but the id, and the clientState of the subscription."""
    noun = "Users" if change["kind"].startswith("user.") else "Groups"
    return {
        "changeType": "updated",
        "clientState": subscription["clientState"],
        "resource": f"{noun}/{change['object_id']}",
        "resourceData": {"@odata.type": f"#Microsoft.Graph.{noun[:-1]}", "id": change["object_id"]},
        "subscriptionExpirationDateTime": subscription["expirationDateTime"],
        "subscriptionId": subscription["id"],
        "tenantId": system.simulated().tenant_id,
        "id": str(uuid4()),
    }


def post_notifications(system: System, items: list[dict[str, Any]]) -> None:
    """Post `items` to the webhook as Graph does, and see that they are accepted."""
    answer = requests.post(
        f"https://localhost:{system.webhook_port}/graph/notifications",
        json={"value": items},
        verify=system.simulated().ca_file,
        timeout=10,
    )
    assert answer.status_code == 202
