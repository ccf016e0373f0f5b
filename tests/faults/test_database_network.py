"""The network to PostgreSQL breaks: errors of the right family, recovery, and no waiting for ever."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from common import config
from common.db import impatience
from common.db.engine import Database
from common.errors import DatabaseUnavailableError
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, address_of, through
from worker.bootstrap import Worker

ANSWER_SECONDS = 1.0


@pytest.fixture
def proxy(postgresql_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(address_of(postgresql_url)) as proxy:
        yield proxy


@pytest.fixture
def database(proxy: FaultProxy, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The database as a worker has it, but for the length of its patience."""
    monkeypatch.setattr(impatience, "_FAREWELL_SECONDS", 0.5)
    database = Database.from_url(through(proxy, postgresql_url), answer_seconds=ANSWER_SECONDS)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE notes (line text PRIMARY KEY)"))
    yield database
    database.close()


@pytest.fixture
def beside(database: Database, postgresql_url: str) -> Iterator[Database]:
    """Another client of the same database, which does not go through the proxy."""
    beside = Database.from_url(postgresql_url)
    yield beside
    beside.close()


def note(database: Database, line: str) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO notes VALUES (:line)"), {"line": line})


def notes(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(text("SELECT line FROM notes ORDER BY line")))


def test_a_database_goes_through_the_proxy(proxy: FaultProxy, database: Database) -> None:
    sent = proxy.bytes_moved["up"]
    note(database, "a line that is long enough to be seen among the bytes")
    assert proxy.bytes_moved["up"] > sent + 50
    assert proxy.connections == 1


def test_a_transaction_that_is_cut_is_an_error_and_the_next_one_works(proxy: FaultProxy, database: Database) -> None:
    def write_while_cut() -> None:
        with database.write() as connection:
            connection.execute(text("INSERT INTO notes VALUES ('cut')"))
            proxy.cut()

    with proxy.firing("cut"), pytest.raises(DatabaseUnavailableError):
        write_while_cut()
    with proxy.firing("refused"), pytest.raises(DatabaseUnavailableError):
        notes(database)
    proxy.restore()
    note(database, "after")
    assert notes(database) == ["after"]


def test_connections_that_were_cut_while_nobody_used_them_are_replaced_unnoticed(
    proxy: FaultProxy, database: Database
) -> None:
    with proxy.firing("cut"):
        proxy.cut()
    proxy.restore()
    note(database, "unnoticed")
    assert notes(database) == ["unnoticed"]


def test_a_commit_that_did_not_arrive_is_an_error_and_nothing_was_written(
    proxy: FaultProxy, database: Database
) -> None:
    proxy.cut_before(b"COMMIT")
    with proxy.firing("cut_before"), pytest.raises(DatabaseUnavailableError):
        note(database, "never")
    assert notes(database) == []


def test_a_commit_whose_answer_is_lost_is_an_error_although_it_was_written(
    proxy: FaultProxy, database: Database
) -> None:
    proxy.lose_answer_to(b"COMMIT")
    with proxy.firing("lost_answer"), pytest.raises(DatabaseUnavailableError):
        note(database, "done")
    assert notes(database) == ["done"]


def test_a_statement_that_is_never_answered_is_given_up(proxy: FaultProxy, database: Database) -> None:
    def write_while_stalled() -> None:
        with database.write() as connection:
            proxy.stall()
            connection.execute(text("INSERT INTO notes VALUES ('stalled')"))

    with proxy.firing("stall"), pytest.raises(DatabaseUnavailableError, match="no answer within 1 s"):
        write_while_stalled()
    proxy.restore()
    assert eventually(lambda: notes(database) == [])


def test_a_connection_that_hangs_while_nobody_used_it_is_replaced(proxy: FaultProxy, database: Database) -> None:
    note(database, "before")
    proxy.stall()
    with proxy.firing("stall"), pytest.raises(DatabaseUnavailableError):
        notes(database)
    proxy.restore()
    assert notes(database) == ["before"]


def test_the_locks_of_a_client_that_hangs_are_let_go(proxy: FaultProxy, database: Database, beside: Database) -> None:
    note(database, "locked")

    def hang_with_a_lock() -> None:
        with database.write() as connection:
            connection.execute(text("SELECT line FROM notes FOR UPDATE"))
            proxy.stall()
            with beside.write() as other:  # waits for the lock
                assert other.execute(text("UPDATE notes SET line = 'free'")).rowcount == 1

    with proxy.firing("stall"), pytest.raises(DatabaseUnavailableError):
        hang_with_a_lock()
    assert notes(beside) == ["free"]


def test_a_statement_that_takes_too_long_is_ended_by_the_server(database: Database) -> None:
    with pytest.raises(DatabaseUnavailableError, match="statement timeout"), database.read() as connection:
        connection.execute(text("SELECT pg_sleep(600)"))


def test_without_a_limit_statements_take_as_long_as_they_need(proxy: FaultProxy, postgresql_url: str) -> None:
    patient = Database.from_url(through(proxy, postgresql_url))
    with patient.read() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "0"
        connection.execute(text("SELECT pg_sleep(2)"))
    patient.close()


def test_limits_do_not_replace_options_that_the_address_names(postgresql_url: str) -> None:
    database = Database.from_url(f"{postgresql_url}?options=-c%20geqo%3Doff", answer_seconds=ANSWER_SECONDS)
    with database.read() as connection:
        assert connection.scalar(text("SHOW geqo")) == "off"
        assert connection.scalar(text("SHOW statement_timeout")) == "1s"
    database.close()


def test_a_worker_is_impatient(postgresql_url: str) -> None:
    worker = Worker(config.load({"ENTRA_SMS_DATABASE_URL": postgresql_url, "ENTRA_SMS_SECRET_KEY": "k" * 32}))
    with worker._database.read() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "2min"
    worker._database.close()
