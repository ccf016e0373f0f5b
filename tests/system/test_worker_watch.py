"""A worker as those see it who watch it: alive while it starts and waits, ready when it can work, measured always."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from common.db.engine import Database
from common.db.migrations import ADVISORY_LOCK
from deploy.local.ports import Reservation
from deploy.local.postgres import Cluster
from deploy.local.runs import Run
from deploy.local.system import System
from tests.support.database import postgres_database
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, address_of, through
from tests.support.watched import Watched
from tests.support.whole_system import IMPATIENT

pytestmark = pytest.mark.system

DEAD = {"queue": "sync.dead-letters"}
READY, LIVE = (200, "ready"), (200, "live")


@pytest.fixture
def port() -> Iterator[int]:
    with Reservation(1) as reservation:
        yield reservation.ports[0]


@pytest.fixture
def proxies(amqp_url: str, postgresql_url: str) -> Iterator[tuple[FaultProxy, FaultProxy]]:
    """The networks to the broker and to the database."""
    with ExitStack() as stack:
        yield (
            stack.enter_context(FaultProxy(address_of(amqp_url))),
            stack.enter_context(FaultProxy(address_of(postgresql_url))),
        )


@pytest.fixture
def system(
    tmp_path: Path, amqp_url: str, postgresql_url: str, proxies: tuple[FaultProxy, FaultProxy]
) -> Iterator[System]:
    broker, database = proxies
    with Run.claim("system", var=tmp_path) as run:
        system = System(run, through(broker, amqp_url), through(database, postgresql_url), IMPATIENT)
        system.start_simulator(users=20, groups=2)
        yield system


def _watched_worker(system: System, port: int) -> Watched:
    system.start_worker(ENTRA_SMS_METRICS_BIND=f"127.0.0.1:{port}")
    return Watched(port)


def test_without_its_database_it_lives_is_not_ready_and_still_tells_the_rest(
    system: System, proxies: tuple[FaultProxy, FaultProxy], port: int
) -> None:
    database = proxies[1]
    worker = _watched_worker(system, port)
    eventually(lambda: worker.health("ready") == READY, what="a worker that is ready")
    eventually(lambda: worker.value("entra_sms_tenants", state="active") == 0, what="the census")
    eventually(lambda: worker.value("entra_sms_queue_messages", **DEAD) == 0, what="the depths of the queues")

    with database.firing("cut"):
        database.cut()
        eventually(lambda: worker.value("entra_sms_database_up") == 0, what="a database that is away")
    assert worker.health("ready") == (503, "database away")
    assert worker.health("live") == LIVE
    assert worker.value("entra_sms_tenants", state="active") is None, "an old number is told"
    assert worker.value("entra_sms_broker_up") == 1
    assert worker.value("entra_sms_queue_messages", **DEAD) == 0

    database.restore()
    eventually(lambda: worker.health("ready") == READY, what="a worker that is ready again")
    assert worker.value("entra_sms_database_up") == 1


def test_without_its_broker_it_lives_is_not_ready_and_still_tells_the_rest(
    system: System, proxies: tuple[FaultProxy, FaultProxy], port: int
) -> None:
    broker = proxies[0]
    worker = _watched_worker(system, port)
    eventually(lambda: worker.health("ready") == READY, what="a worker that is ready")
    eventually(lambda: worker.value("entra_sms_queue_messages", **DEAD) == 0, what="the depths of the queues")

    with broker.firing("cut"):
        broker.cut()
        eventually(lambda: worker.value("entra_sms_broker_up") == 0, what="a broker that is away")
    assert worker.health("ready") == (503, "broker away")
    assert worker.health("live") == LIVE
    eventually(lambda: worker.value("entra_sms_queue_messages", **DEAD) is None, what="no old number")
    assert worker.value("entra_sms_database_up") == 1

    broker.restore()
    eventually(lambda: worker.health("ready") == READY, what="a worker that is ready again")
    eventually(lambda: worker.value("entra_sms_queue_messages", **DEAD) == 0, what="the depths again")


def test_a_client_that_says_nothing_keeps_nobody_else_waiting(system: System, port: int) -> None:
    worker = _watched_worker(system, port)
    with ExitStack() as stack:
        for _ in range(50):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            silent.sendall(b"GET /metrics")
        assert worker.health("live") == LIVE
        assert worker.value("entra_sms_database_up") is not None


def test_a_page_that_is_not_there_is_not_found(system: System, port: int) -> None:
    _watched_worker(system, port)
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).status_code == 404
    assert requests.post(f"http://127.0.0.1:{port}/health/live", timeout=10).status_code == 405


def test_it_ends_cleanly_while_it_is_watched(system: System, port: int) -> None:
    process = system.start_worker(ENTRA_SMS_METRICS_BIND=f"127.0.0.1:{port}")
    worker = Watched(port)
    eventually(lambda: worker.health("ready") == READY, what="a worker that is ready")

    os.kill(process.pid, signal.SIGTERM)

    assert process.wait(30) == 0
    said = process.log.read_text()
    assert "worker_ended" in said
    assert "Traceback" not in said
    with pytest.raises(requests.ConnectionError):
        worker.health("live")


def test_a_port_that_is_taken_ends_it_with_a_sentence(system: System) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = system.start_worker(wait=False, ENTRA_SMS_METRICS_BIND=f"127.0.0.1:{port}")
        assert worker.wait(60) == 1
    said = worker.log.read_text()
    assert f"ENTRA_SMS_METRICS_BIND: cannot listen on 127.0.0.1, port {port}: Address already in use." in said
    assert "Traceback" not in said


def test_it_is_alive_but_not_ready_until_the_database_is_up_to_date(
    system: System, postgres_server: Cluster, port: int
) -> None:
    """A migration may take long: whoever restarts what is not alive must not end it in the middle."""
    with postgres_database(postgres_server) as name:
        url = postgres_server.url_of(name)
        other = Database.from_url(url)
        with other.write() as connection:  # somebody else migrates
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            bind = f"127.0.0.1:{port}"
            process = system.start_worker(wait=False, ENTRA_SMS_METRICS_BIND=bind, ENTRA_SMS_DATABASE_URL=url)
            worker = Watched(port)
            eventually(lambda: worker.health("live") == LIVE, despite=(requests.ConnectionError,), what="a live worker")
            waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            eventually(lambda: connection.execute(waiting).scalar_one() == 1, what="a worker that waits to migrate")
            assert worker.health("ready") == (503, "starting")
            assert worker.health("live") == LIVE
            assert worker.value("entra_sms_database_up") == 0
        eventually(lambda: worker.health("ready") == READY, what="a ready worker")
        process.stop()
        other.close()
