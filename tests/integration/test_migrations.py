"""Migrations: they make what the tables say, can be taken back, and processes that start together do not collide."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from common.db import migrations, revisions
from common.db.engine import Database
from common.db.tables import metadata
from common.errors import SettingsError

ROOT = Path(__file__).parents[2]
MIGRATE = "import sys; from common.db.migrations import upgrade; upgrade(sys.argv[1])"


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    database = Database.from_url(empty_database_url)
    yield database
    database.close()


def differences(database: Database) -> list[object]:
    with database.read() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "target_metadata": metadata}
        )
        return list(compare_metadata(context, metadata))


def test_the_migrated_schema_is_what_the_tables_say(empty: Database) -> None:
    assert differences(empty)
    migrations.upgrade_database(empty)
    assert differences(empty) == []


def test_migrating_again_does_nothing(empty: Database) -> None:
    migrations.upgrade_database(empty)
    migrations.upgrade_database(empty)
    assert differences(empty) == []


def test_the_way_back_leaves_nothing_behind_and_the_way_forward_works_again(empty: Database) -> None:
    migrations.upgrade_database(empty)
    with empty.write() as connection:
        config = migrations.configuration()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert inspect(empty.engine).get_table_names() == ["alembic_version"]
    migrations.upgrade_database(empty)
    assert differences(empty) == []


def test_processes_that_start_together_all_find_the_newest_schema(empty: Database, empty_database_url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, empty_database_url], cwd=ROOT, stderr=subprocess.PIPE)
        for _ in range(5)
    ]
    said = [process.communicate(timeout=120)[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 5, said
    assert differences(empty) == []


def test_a_failing_migration_leaves_the_database_as_it_was(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Exception):  # noqa: N818 - only ever raised and caught here
        pass

    def upgrade_then_break(config: object, revision: str) -> None:
        original(config, revision)
        raise Broken

    original = command.upgrade
    monkeypatch.setattr(command, "upgrade", upgrade_then_break)
    with pytest.raises(Broken):
        migrations.upgrade_database(empty)
    assert inspect(empty.engine).get_table_names() == []


def test_there_is_one_line_of_revisions() -> None:
    assert migrations.head() is not None


def test_the_revisions_are_known_without_alembic_too() -> None:
    theirs = ScriptDirectory.from_config(migrations.configuration()).walk_revisions()
    assert revisions.known() == sorted(one.revision for one in theirs)
    assert revisions.newest() == migrations.head()


def test_a_database_of_a_newer_version_is_refused_with_what_to_do(empty: Database) -> None:
    migrations.upgrade_database(empty)
    with empty.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SettingsError, match="made by a newer one"):
        migrations.upgrade_database(empty)
