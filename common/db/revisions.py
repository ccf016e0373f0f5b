"""Which revision of the schema a database has, and which ones this version knows.

Every process asks for it when it starts, and nearly always finds the newest: so it is found without Alembic, which
takes long to load. `common.db.migrations` brings a database to the newest.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Text, column, inspect, select, table

from common.db.engine import Database
from common.errors import SettingsError

VERSIONS = Path(__file__).parent / "migrations" / "versions"
_CURRENT = select(column("version_num", Text)).select_from(table("alembic_version"))


def known() -> list[str]:
    """Return the revisions that this version knows, oldest first: their files are named by them."""
    return sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))


def newest() -> str:
    return known()[-1]


def is_up_to_date(database: Database) -> bool:
    """Whether the database is at the newest revision; takes no lock.

    Raises:
        SettingsError: it was made by a newer version of this program.
        DatabaseUnavailableError: it cannot be reached.
    """
    with database.read() as connection:
        is_made = inspect(connection).has_table("alembic_version")
        revision = connection.scalar(_CURRENT) if is_made else None
    if revision is not None and revision not in known():
        raise SettingsError(
            f"The database has revision {revision}, which this version does not know: it was made by a newer one. "
            "Run that version, or give ENTRA_SMS_DATABASE_URL another database."
        )
    return bool(revision == newest())
