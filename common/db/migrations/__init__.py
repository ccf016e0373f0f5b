"""The schema's history (Alembic). Every process brings the database up to date when it starts.

Whether there is anything to do, `common.db.revisions` knows.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from common.db.engine import Database
from common.db.revisions import is_up_to_date

HERE = Path(__file__).parent
ADVISORY_LOCK = 0x656E7472615F736D
"""Two processes that start together must not both migrate: PostgreSQL's advisory lock; SQLite has its write lock."""


def upgrade(database_url: str) -> None:
    """Bring the database at `database_url` to the newest revision; does nothing when it is there."""
    database = Database.from_url(database_url)
    try:
        upgrade_database(database)
    finally:
        database.close()


def upgrade_database(database: Database) -> None:
    """Bring the database to the newest revision; takes no lock when it is there.

    Raises:
        SettingsError: it was made by a newer version of this program.
        DatabaseUnavailableError: it cannot be reached.
    """
    if is_up_to_date(database):
        return
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        if MigrationContext.configure(connection).get_current_revision() == head():
            return
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def head() -> str | None:
    """Return the newest revision."""
    return ScriptDirectory.from_config(configuration()).get_current_head()


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    return config
