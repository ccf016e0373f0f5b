"""The private PostgreSQL cluster of the tests, and the databases they get from it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from deploy.local import postgres
from deploy.local.postgres import Cluster
from deploy.local.runs import Run, end_processes
from tests.support.eventually import eventually
from tests.support.observed import listening_of, processes_of
from tests.support.owner import owner


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Run.claim("demo", var=tmp_path) as run:
        yield run


def test_the_database_of_a_test_is_migrated(database_url: str) -> None:
    engine = create_engine(database_url)
    assert "contacts" in inspect(engine).get_table_names()
    engine.dispose()


def test_an_empty_database_has_no_tables(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_two_clusters_live_at_once_and_on_loopback_only(run: Run, postgres_server: Cluster) -> None:
    other = postgres.start(run)
    places = listening_of(processes_of(run.directory))
    assert places == {("0100007F", other.port)}
    assert other.port not in (5432, postgres_server.port)
    assert postgres_server.is_ready()


def test_data_outlives_a_run_and_its_processes_do_not(tmp_path: Path) -> None:
    with Run.claim("demo", var=tmp_path) as run, postgres.start(run).connect() as connection:
        connection.execute("CREATE TABLE letters ()")
    eventually(lambda: not processes_of(run.directory))
    with Run.claim("demo", var=tmp_path) as run, postgres.start(run).connect() as connection:
        connection.execute("SELECT FROM letters")


def test_a_fresh_cluster_is_empty(tmp_path: Path) -> None:
    with Run.claim("demo", var=tmp_path) as run, postgres.start(run).connect() as connection:
        connection.execute("CREATE DATABASE letters")
    with Run.claim("demo", var=tmp_path) as run, postgres.start(run, fresh=True).connect() as connection:
        names = connection.execute("SELECT datname FROM pg_database ORDER BY datname").fetchall()
    assert names == [("postgres",), ("template0",), ("template1",)]


def test_the_cluster_wants_a_password(run: Run) -> None:
    cluster = postgres.start(run)
    assert cluster.is_ready()
    assert not Cluster(cluster.port, "guessed").is_ready()


def test_a_cluster_that_stays_up_is_taken_over(tmp_path: Path) -> None:
    with Run.claim("demo", var=tmp_path) as first:
        kept = postgres.start(first, kept=True)
    with Run.claim("demo", var=tmp_path) as second:
        assert postgres.start(second) == kept
    assert kept.is_ready()
    assert end_processes(tmp_path / "demo", "postgres") == ["postgres"]
    eventually(lambda: not processes_of(tmp_path))


@pytest.mark.parametrize("tied", [True, False])
def test_after_a_killed_owner_the_next_start_works(tmp_path: Path, tied: bool) -> None:
    killed = owner(tmp_path, "demo", "postgres", tied=tied)
    killed.kill()
    killed.wait()
    with Run.claim("demo", var=tmp_path) as run:
        assert postgres.start(run).is_ready()
    eventually(lambda: not processes_of(tmp_path))


def test_starting_a_cluster_leaves_the_other_processes_of_its_run_alone(tmp_path: Path) -> None:
    with Run.claim("demo", var=tmp_path) as run:
        sleeper = run.start("sleeper", ["sleep", "600"])
        postgres.start(run)
        assert sleeper.exit_status is None
