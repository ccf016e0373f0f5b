"""A killed PostgreSQL comes back with what was committed and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.local.runs import Run
from tests.support.mortal_postgres import MortalPostgres, mortal_postgres_of


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[MortalPostgres]:
    with Run.claim("mortal", var=tmp_path) as run, mortal_postgres_of(run) as mortal:
        yield mortal


def test_a_killed_cluster_has_every_committed_row_and_no_other(mortal: MortalPostgres) -> None:
    with mortal.cluster.connect() as connection:
        connection.execute("CREATE TABLE notes (line text)")
    for number in range(50):
        with mortal.cluster.connect() as connection:
            connection.execute("INSERT INTO notes VALUES (%s)", [str(number)])

    def write_while_killed() -> None:
        with mortal.cluster.connect() as connection, connection.transaction():
            connection.execute("INSERT INTO notes VALUES ('not committed')")
            assert mortal.kill()

    with pytest.raises(psycopg.OperationalError):
        write_while_killed()
    assert not mortal.kill()
    assert not mortal.cluster.is_ready()

    mortal.revive()

    with mortal.cluster.connect() as connection:
        rows = connection.execute("SELECT line FROM notes").fetchall()
    assert sorted(int(line) for (line,) in rows) == list(range(50))
