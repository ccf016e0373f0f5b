"""A consumer in a process of its own, with nothing but pika, follows the real system while its processes die."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.db.engine import Database
from deploy.local.processes import Process
from deploy.local.runs import Run
from deploy.local.system import System
from tests.support.broker import is_on_disk
from tests.support.eventually import eventually
from tests.support.follower import QUEUE, Follower, following, visible_book
from tests.support.mortal_broker import MortalBroker
from tests.support.whole_system import IMPATIENT, await_equality, rows

pytestmark = [pytest.mark.system, pytest.mark.timeout(480)]

_DUTY_SECONDS = 60.0
"""Longer than the time for which a dead worker keeps the duty of publishing."""


@pytest.fixture
def publishing(tmp_path: Path, mortal_broker: MortalBroker, postgresql_url: str) -> Iterator[System]:
    """The whole system on a broker that may die; what happens is published."""
    settings = IMPATIENT | {"ENTRA_SMS_PUBLISH_EVENTS": "true"}
    with Run.claim("system", var=tmp_path) as run:
        yield System(run, mortal_broker.broker.amqp_url, postgresql_url, settings)


def await_equal_copy(system: System, follower: Follower) -> None:
    """Wait until the book equals the directory, and the copy the book."""
    await_equality(system)
    tenant_id = system.simulated().tenant_id
    database = Database.from_url(system.database_url)

    def equal() -> bool:
        people, teams, edges = follower.copy_of(tenant_id)
        expected = visible_book(database, tenant_id)
        assert edges ^ expected[2] == set()
        assert (people, teams) == expected[:2]
        return bool(people and teams and edges)

    try:
        eventually(equal, within_seconds=_DUTY_SECONDS, what="a copy that equals the book")
    finally:
        database.close()


def publisher_of(system: System, workers: list[Process]) -> Process:
    """Wait until one of the workers has the duty of publishing; that one."""

    def found() -> Process | None:
        holders = [str(row["holder"]) for row in rows(system, "SELECT holder FROM duties WHERE duty = 'feed'")]
        return next((one for one in workers for holder in holders if f":{one.pid}#" in holder), None)

    worker = eventually(found, what="a worker that publishes")
    assert worker is not None
    return worker


def test_a_consumer_keeps_a_copy_equal_to_the_book_while_publishers_and_the_broker_are_killed(
    publishing: System, mortal_broker: MortalBroker, tmp_path: Path
) -> None:
    system = publishing
    system.start_simulator(users=400, groups=30)
    system.start_webhook()
    workers = [system.start_worker(f"worker-{number}") for number in (1, 2)]
    with following(tmp_path, system.amqp_url) as follower:
        system.add_tenant()
        publisher = publisher_of(system, workers)

        os.kill(publisher.pid, signal.SIGKILL)
        publisher.wait()
        workers = [one for one in workers if one is not publisher]
        system.simulated().call("POST", "random-changes", {"count": 20, "seed": 4})  # it may have published all before
        await_equality(system)
        await_equal_copy(system, follower)
        assert publisher_of(system, workers) is not publisher

        eventually(lambda: is_on_disk(mortal_broker.run_directory, QUEUE), what="a queue that survives")
        system.simulated().call("POST", "random-changes", {"count": 60, "seed": 1})
        assert mortal_broker.kill()
        eventually(lambda: not follower.is_alive(), what="the end of the consumer that lost its broker")
        system.simulated().call("POST", "random-changes", {"count": 60, "seed": 2})
        mortal_broker.revive()
        follower.kill()
        follower.start()
        system.simulated().call("POST", "random-changes", {"count": 60, "seed": 3})
        await_equal_copy(system, follower)

        follower.kill()  # what happens without it waits in its queue
        system.simulated().call("POST", "random-changes", {"count": 30, "seed": 4})
        await_equality(system)
        follower.start()
        await_equal_copy(system, follower)
    assert rows(system, "SELECT sequence FROM changes WHERE unpublished IS NOT NULL") == []
