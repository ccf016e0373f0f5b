"""What the tests of the whole system do with it: compare, count, look into the database."""

from __future__ import annotations

from typing import Any

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
        return found if len(found) == 2 else []

    return eventually(both, within_seconds=60, what="two subscriptions")
