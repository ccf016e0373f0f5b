"""The database: is it there, how old are its tables, what time does it have? Looked at without changing anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from common.clock import utc_now
from common.config import Settings
from common.db import revisions
from common.db.engine import Database
from common.errors import DatabaseUnavailableError, SettingsError
from console import addresses, clock_difference
from console.finding import Finding, fine, of_error, warning

ANSWER_SECONDS = 10.0
START_IT = "Start it, or correct ENTRA_SMS_DATABASE_URL."


def look(settings: Settings) -> Iterator[Finding]:
    """Yield what there is to say of the database; tenants can be read when none of it is a trouble or a warning."""
    place = addresses.without_password(settings.database_url.get_secret_value())
    path = _sqlite_path(settings)
    if path is not None and not path.exists():
        made_by = "The worker makes it when it starts, and so does: entra-sms tenants add"
        yield warning("database.address", f"There is no database at {place} yet.", made_by)
        return
    try:
        with opened(settings) as database:
            with database.read() as connection:
                yield fine("database.address", f"{_product(connection, database)} at {place} answers.")
            yield _schema(database)
            if not database.is_sqlite:
                yield _clock(database)
    except DatabaseUnavailableError as error:
        where = f"{str(error).rstrip('.')}. The database is {place}."
        yield of_error("database.address", DatabaseUnavailableError(where), START_IT)
    except SettingsError as error:
        yield of_error("database.address", error)


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database as it is: it is not made, not brought up to date, and lets nothing be written.

    Raises:
        SettingsError: the address is none.
    """
    database = Database.from_settings(settings, answer_seconds=ANSWER_SECONDS, read_only=True)
    try:
        yield database
    finally:
        database.close()


def _sqlite_path(settings: Settings) -> Path | None:
    try:
        url = make_url(settings.database_url.get_secret_value())
    except ArgumentError:
        return None
    is_file = url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:"
    return Path(url.database) if is_file and url.database else None


def _product(connection: Connection, database: Database) -> str:
    if database.is_sqlite:
        connection.execute(text("SELECT count(*) FROM sqlite_master"))  # SQLite opens any file, and reads it only now
        return f"SQLite {sqlite3.sqlite_version} (for one machine)"
    version = str(connection.execute(text("SHOW server_version")).scalar_one())
    return f"PostgreSQL {version.partition(' ')[0]}"


def _schema(database: Database) -> Finding:
    try:
        up_to_date = revisions.is_up_to_date(database)
    except SettingsError as error:
        return of_error("database.schema", error)
    if up_to_date:
        return fine("database.schema", f"Its tables are up to date (revision {revisions.newest()}).")
    return warning(
        "database.schema",
        f"Its tables are older than this program (revision {revisions.newest()}), or not made yet.",
        "The worker brings them up to date when it starts.",
    )


def _clock(database: Database) -> Finding:
    with database.read() as connection:
        before = utc_now()
        theirs = database.now(connection)
        ours = before + (utc_now() - before) / 2
    return clock_difference.judge("database.clock", "the database's", (ours - theirs).total_seconds())
