"""The database as the processes use it, the same on SQLite and PostgreSQL."""

import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from common.db.engine import SQLITE_CACHE_KIB, Database, batches
from common.db.tables import changes, contacts, streams, tenants
from common.errors import DatabaseUnavailableError, SettingsError

TENANT = "9c110000-0000-4000-8000-0000000000aa"
NOW = datetime(2026, 3, 2, 8, 15, 30, 123456, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database.from_url(database_url)
    yield database
    database.close()


def tenant(tenant_id: str = TENANT, **fields: Any) -> dict[str, Any]:
    texts = ("name", "client_id", "credential", "agreement_reference", "state")
    times = ("state_since", "reconcile_at", "created_at")
    row: dict[str, Any] = dict.fromkeys(texts, "x") | dict.fromkeys(times, NOW)
    return row | {"tenant_id": tenant_id, "agreement_date": NOW.date()} | fields


def add(database: Database, **fields: Any) -> None:
    with database.write() as connection:
        connection.execute(insert(tenants).values(tenant(**fields)))


def test_a_write_is_committed_at_the_end_of_its_block(database: Database) -> None:
    add(database)
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(tenants)) == 1


def test_a_write_that_raises_changes_nothing(database: Database) -> None:
    def fail() -> None:
        with database.write() as connection:
            connection.execute(insert(tenants).values(tenant()))
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(tenants)) == 0


def test_times_come_back_aware_and_in_utc_whatever_zone_they_were_in(database: Database) -> None:
    add(database, state_since=NOW.astimezone(timezone(timedelta(hours=5))))
    with database.read() as connection:
        since = connection.scalar(select(tenants.c.state_since))
    assert since == NOW
    assert since is not None
    assert since.tzinfo == UTC


def test_ids_come_back_as_text_in_small_letters(database: Database) -> None:
    add(database)
    with database.read() as connection:
        assert connection.scalar(select(tenants.c.tenant_id)) == TENANT


def test_the_databases_clock_is_aware_and_goes_on_within_a_transaction(database: Database) -> None:
    with database.read() as connection:
        first, second = database.now(connection), database.now(connection)
    assert first.tzinfo == UTC
    assert first <= second
    assert abs(first - datetime.now(UTC)) < timedelta(hours=1)


def test_a_row_of_an_unknown_tenant_is_refused(database: Database) -> None:
    orphan = insert(streams).values(tenant_id=TENANT, stream="users", next_poll_at=NOW)
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(orphan)


def test_a_refused_row_is_not_shown_in_the_traceback(database: Database) -> None:
    add(database)
    person = {"tenant_id": TENANT, "object_id": TENANT, "display_name": "Erika Mustermann", "generation": 0}
    with pytest.raises(IntegrityError, match="phone_state") as caught, database.write() as connection:
        connection.execute(insert(contacts).values(person | {"phone_state": None}))
    assert "Mustermann" not in "".join(traceback.format_exception(caught.value))


def test_a_tenant_that_goes_takes_everything_of_it_along(database: Database) -> None:
    add(database)
    with database.write() as connection:
        person = {"tenant_id": TENANT, "object_id": TENANT, "phone_state": "missing", "generation": 0}
        connection.execute(insert(contacts).values(person))
        connection.execute(insert(streams).values(tenant_id=TENANT, stream="users", next_poll_at=NOW))
        change = {"tenant_id": TENANT, "at": NOW, "kind": "contact.added", "object_id": TENANT, "reason": "poll"}
        connection.execute(insert(changes).values(change))
    with database.write() as connection:
        connection.execute(tenants.delete())
    with database.read() as connection:
        for table in (contacts, streams, changes):
            assert connection.scalar(select(func.count()).select_from(table)) == 0


def test_an_upsert_is_the_same_on_both(database: Database) -> None:
    with database.write() as connection:
        for name in ("first", "second"):
            statement = database.insert(tenants).values(tenant(name=name))
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[tenants.c.tenant_id], set_={"name": statement.excluded.name}
                )
            )
    with database.read() as connection:
        assert connection.scalars(select(tenants.c.name)).all() == ["second"]


def count_up_on_four_threads(database: Database) -> str | None:
    """Let each add 1 to a number twenty times; return what it is then."""
    add(database, name="0")

    def count_up() -> None:
        for _ in range(20):
            with database.write() as connection:
                name = connection.scalar(select(tenants.c.name).with_for_update())
                connection.execute(tenants.update().values(name=str(int(name or 0) + 1)))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        return connection.scalar(select(tenants.c.name))


def test_writers_on_many_threads_lose_nothing(database: Database) -> None:
    assert count_up_on_four_threads(database) == "80"


def test_threads_take_turns_at_writing_and_never_find_sqlite_locked_by_each_other(sqlite_url: str) -> None:
    database = Database.from_url(sqlite_url)
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=0"))
    assert count_up_on_four_threads(database) == "80"
    database.close()


def test_a_thread_that_does_not_get_its_turn_to_write_says_so(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.db.engine.SQLITE_BUSY_SECONDS", 0.01)
    database = Database.from_url(sqlite_url)
    with (
        database.write(),
        ThreadPoolExecutor(1) as other,
        pytest.raises(DatabaseUnavailableError, match="another thread"),
    ):
        other.submit(add, database).result()
    add(database)
    database.close()


def test_a_failure_of_the_database_is_said_without_the_data_of_the_statement(database: Database) -> None:
    with pytest.raises(DatabaseUnavailableError) as caught, database.write() as connection:
        connection.execute(text("SELECT * FROM nowhere WHERE name = :name"), {"name": "Anna Nowak"})
    assert "Anna" not in str(caught.value)
    assert str(caught.value).startswith("The database failed: ")


def test_a_server_that_is_not_there_is_a_passing_trouble(unused_port: int) -> None:
    database = Database.from_url(f"postgresql+psycopg://u:secret-word@127.0.0.1:{unused_port}/d")
    with pytest.raises(DatabaseUnavailableError) as caught, database.read():
        pass
    assert "secret-word" not in str(caught.value)
    database.close()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "sqlite",
        "mysql://h/d",
        "postgresql+nodriver://h/d",
        "postgresql+asyncpg2://h",
        "oracle://",
        "://",
        "x://y:z:a",
    ],
)
def test_an_address_that_cannot_work_is_refused_with_a_sentence(address: str) -> None:
    with pytest.raises(SettingsError, match="ENTRA_SMS_DATABASE_URL"):
        Database.from_url(address)


def test_a_new_sqlite_file_gets_its_folder(tmp_path: Path) -> None:
    database = Database.from_url(f"sqlite:///{tmp_path}/a/b/c.sqlite3")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
    database.close()
    assert (tmp_path / "a/b/c.sqlite3").is_file()


def test_sqlite_keeps_more_of_the_file_for_who_writes_it(tmp_path: Path) -> None:
    database = Database.from_url(f"sqlite:///{tmp_path / 'book.sqlite3'}")
    with database.read() as connection:
        assert connection.scalar(text("PRAGMA cache_size")) == -2_000  # KiB, and SQLite's own
    with database.write() as connection:
        assert connection.scalar(text("PRAGMA cache_size")) == -SQLITE_CACHE_KIB
    database.close()


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (500, [500]), (501, [500, 1])])
def test_long_lists_are_cut_into_batches(count: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches(range(count))] == sizes


def test_a_database_that_is_opened_for_reading_lets_nothing_be_written(database: Database, database_url: str) -> None:
    add(database)
    reading = Database.from_url(database_url, read_only=True)
    try:
        with reading.read() as connection:
            assert connection.scalar(select(func.count()).select_from(tenants)) == 1
        with pytest.raises(DatabaseUnavailableError, match=r"read-?only"), reading.write() as connection:
            connection.execute(insert(tenants).values(tenant(name="y")))
    finally:
        reading.close()


def test_reading_makes_no_file_of_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "missing.sqlite"
    reading = Database.from_url(f"sqlite:///{path}", read_only=True)
    with pytest.raises(DatabaseUnavailableError, match="unable to open"), reading.read():
        pass
    assert not path.exists()


@pytest.mark.parametrize("answer_seconds", [None, 5.0])
def test_postgresql_compiles_no_statement(postgresql_url: str, answer_seconds: float | None) -> None:
    database = Database.from_url(postgresql_url, answer_seconds=answer_seconds)
    with database.read() as connection:
        assert connection.scalar(text("SHOW jit")) == "off"
        assert connection.scalar(text("SHOW statement_timeout")) == ("5s" if answer_seconds else "0")
    database.close()
