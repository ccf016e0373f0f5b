"""The database as the processes use it: `read` and `write` transactions, and the database's own clock.

SQLAlchemy's and the drivers' exceptions stop here, but for an `IntegrityError`, which is a defect; none of them shows
what is in a row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from common.config import Settings
from common.errors import DatabaseUnavailableError, SettingsError

SQLITE_BUSY_SECONDS = 30
SQLITE_CACHE_KIB = 8_192
"""What a connection that writes keeps of the file. One that only reads has the 2,000 that SQLite keeps itself."""
SQLITE_CHECKPOINT_PAGES = 4_000
"""So many changed pages (of 4 KiB) gather in the log before they go into the file: many change again and again."""
POOL_SIZE = 20
CONNECT_SECONDS = 10
SILENCE_SECONDS = 20
"""After so long without an acknowledgement of the other machine's TCP a connection is dead."""
POSTGRESQL_OPTIONS = "-c jit=off"
"""Where PostgreSQL expects to read much it compiles the statement, each time anew: about a second for the sweep of a
full round, which itself takes a few milliseconds."""

_NOW = select(func.clock_timestamp())


class Database:
    """One engine, and the two kinds of transaction that are run on it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._writing = threading.Lock()

    @classmethod
    def from_settings(
        cls, settings: Settings, *, answer_seconds: float | None = None, read_only: bool = False
    ) -> Database:
        """Make the engine; connects to nothing yet.

        Args:
            settings: Where the address stands.
            answer_seconds: Give a statement up, and a transaction in which nothing happens, after so long. A process
                that nobody watches needs it: a server that hangs, or a proxy before it, keeps a connection for ever.
            read_only: Have the database itself refuse every change; a file of SQLite is not made where there is none.

        Raises:
            SettingsError: the address is none, or of a database that is not supported.
        """
        address = settings.database_url.get_secret_value()
        return cls.from_url(address, answer_seconds=answer_seconds, read_only=read_only)

    @classmethod
    def from_url(cls, address: str, *, answer_seconds: float | None = None, read_only: bool = False) -> Database:
        try:
            url = make_url(address)
            if url.get_backend_name() not in ("sqlite", "postgresql"):
                raise SettingsError("ENTRA_SMS_DATABASE_URL must begin with postgresql+psycopg:// or sqlite:///.")
            if url.get_backend_name() == "sqlite":
                return cls(_reading_sqlite_engine(url) if read_only else _sqlite_engine(address, url.database))
            engine = _postgresql_engine(url, answer_seconds)
            return cls(engine.execution_options(postgresql_readonly=True) if read_only else engine)
        except (ArgumentError, NoSuchModuleError, ImportError, ValueError):
            raise SettingsError(
                "ENTRA_SMS_DATABASE_URL is no database address; "
                "it looks like postgresql+psycopg://user:password@host/name or sqlite:///path."
            ) from None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, or rolled back when it raises.

        In SQLite it takes the write lock at once, so that what is read in it cannot change before the commit. The
        threads of this process take turns at that: SQLite would have them try again after pauses.
        """
        with self._turn_to_write(), _translated(), self.engine.connect() as plain:
            connection = plain.execution_options(takes_write_lock=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._writing.acquire(timeout=SQLITE_BUSY_SECONDS):
            raise DatabaseUnavailableError("The database is being written by another thread for too long.")
        try:
            yield
        finally:
            self._writing.release()

    def now(self, connection: Connection) -> datetime:
        """Return the database's time: the one clock that all workers share."""
        if self.is_sqlite:
            return datetime.now(UTC)  # the database is a file on this machine
        moment: datetime = connection.execute(_NOW).scalar_one()
        return moment.astimezone(UTC)

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def close(self) -> None:
        self.engine.dispose()


def batches(items: Sequence[Any], size: int = 500) -> Iterator[Sequence[Any]]:
    """Cut `items` for an IN list: SQLite allows 32,766 parameters in a statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        # A defect of ours, and logged as one: PostgreSQL describes it by the whole row, which may be a person's.
        said = IntegrityError(None, None, Exception(_first_line(error)))
        raise said.with_traceback(error.__traceback__) from None
    except DBAPIError as error:
        raise DatabaseUnavailableError(f"The database failed: {_first_line(error)}") from error
    except SQLAlchemyError as error:
        if "QueuePool limit" in str(error):
            raise DatabaseUnavailableError("The database has no free connection.") from error
        raise


def _first_line(error: DBAPIError) -> str:
    """The driver's words without the statement and its parameters, which may be personal data."""
    text = str(error.orig).strip()
    return f"{type(error.orig).__name__}: {text.splitlines()[0][:200]}" if text else type(error.orig).__name__


def _postgresql_engine(url: URL, answer_seconds: float | None) -> Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "options": POSTGRESQL_OPTIONS,
        "keepalives_idle": SILENCE_SECONDS // 2,
        "keepalives_interval": SILENCE_SECONDS // 4,
        "keepalives_count": 2,
        "tcp_user_timeout": SILENCE_SECONDS * 1000,
    }
    engine = create_engine(
        url,
        connect_args={name: value for name, value in arguments.items() if name not in url.query},
        pool_pre_ping=True,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        hide_parameters=True,
    )
    if answer_seconds is not None:
        event.listen(engine, "do_connect", partial(_connect_impatiently, answer_seconds))
    return engine


def _connect_impatiently(
    answer_seconds: float, _dialect: Any, _record: Any, arguments: Sequence[Any], named: dict[str, Any]
) -> Any:
    from common.db.impatience import connect  # noqa: PLC0415 - SQLite needs no driver of PostgreSQL

    return connect(*arguments, answer_seconds=answer_seconds, **named)


def _sqlite_engine(address: str, path: str | None) -> Engine:
    if path and path != ":memory:":
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"ENTRA_SMS_DATABASE_URL: the folder of {path} cannot be made: {error}.") from None
    engine = create_engine(
        address, connect_args={"timeout": SQLITE_BUSY_SECONDS}, hide_parameters=True, pool_use_lifo=True
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _reading_sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        existing = {"mode": "rw", "uri": "true"}  # who reads a log of SQLite writes beside it which part is read
        url = URL.create("sqlite", database=Path(url.database).resolve().as_uri(), query=existing)
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_reading_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_reading_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # as in _prepare_sqlite
    connection.execute("PRAGMA query_only=ON")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA wal_autocheckpoint={SQLITE_CHECKPOINT_PAGES}")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get("takes_write_lock", False):
        connection.exec_driver_sql(f"PRAGMA cache_size=-{SQLITE_CACHE_KIB}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("BEGIN")
