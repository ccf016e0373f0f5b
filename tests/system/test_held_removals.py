"""Removals that are too many, with the real processes: held, shown, rejected as a mistake, else approved."""

import json

import pytest

from deploy.local.errors import LocalServiceError
from deploy.local.system import System
from tests.support.eventually import eventually
from tests.support.whole_system import await_equality, rows, trouble

pytestmark = pytest.mark.system

LEAVING = 30
HELD = "(?s)ended with status 6.*were not removed.*entra-sms holds show"


def _book(system: System) -> set[str]:
    """The people in the address book."""
    return {str(row["object_id"]) for row in rows(system, "SELECT object_id FROM contacts")}


def _held(system: System) -> set[str]:
    return {str(row["object_id"]) for row in rows(system, "SELECT object_id FROM held_removals WHERE stream = 'users'")}


def _outcomes(system: System) -> list[str | None]:
    return [row["outcome"] for row in rows(system, "SELECT outcome FROM holds ORDER BY hold_id")]


def test_whom_graph_hides_stays_until_it_is_mended_and_who_really_left_goes_when_it_is_approved(
    system: System,
) -> None:
    system.start_simulator(users=100, groups=10)
    system.start_worker()
    system.add_tenant()
    system.entra_sms("sync", "--full", "--wait")
    assert trouble(system) == []
    everybody = _book(system)

    # By mistake half of the company is hidden from whoever reads it in full.
    system.simulated().call("PUT", "faults", {"hidden_share": 0.5})
    with pytest.raises(LocalServiceError, match=HELD):
        system.entra_sms("sync", "--full", "--wait")
    hidden = _held(system)
    assert system.simulated().fired()["hidden_share"] > 0
    assert len(everybody) // 4 < len(hidden) < len(everybody)
    assert _book(system) == everybody
    read = json.loads(system.entra_sms("holds", "show", "--json"))
    assert {one["object_id"] for one in read["removals"]} == hidden
    assert f"Held now          {len(hidden)} people" in system.entra_sms("holds", "show")
    with pytest.raises(LocalServiceError, match=HELD):
        system.entra_sms("holds", "reject", "--wait")
    assert (_held(system), _book(system)) == (hidden, everybody)

    # The mistake is mended.
    system.simulated().call("PUT", "faults", {"hidden_share": 0.0})
    system.entra_sms("holds", "reject", "--wait")
    assert _held(system) == set()
    assert _outcomes(system) == ["rejected", "rejected"]
    await_equality(system)

    # They really leave. As many as the limit allows go unasked, if Graph is asked before all have left.
    leaving = set(sorted(everybody)[:LEAVING])
    for object_id in leaving:
        system.simulated().call("DELETE", f"users/{object_id}")

    def is_held() -> bool:
        held = _held(system)
        return bool(held) and held == leaving & _book(system)

    eventually(is_held, within_seconds=60, what="the removals to be held")
    assert len(_book(system)) >= len(everybody) - 20

    system.entra_sms("holds", "approve", "--yes", "--wait")

    assert _book(system) == everybody - leaving
    assert _outcomes(system) == ["rejected", "rejected", "approved"]
    await_equality(system)
