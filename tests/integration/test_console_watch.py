"""`entra-sms watch` on a real terminal: what it shows, how it ends, and that it goes on when something is away."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from common.db import tenants
from common.db.migrations import upgrade
from common.db.tables import changes
from common.messages import Stream
from deploy.local.runs import Run
from tests.support.book import Book, book, guid
from tests.support.console import COMMAND, EntraSms
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, address_of, through
from tests.support.mortal_broker import MortalBroker
from tests.support.mortal_postgres import mortal_postgres_of
from tests.support.terminal import FIRST_SCREEN, OTHER_SCREEN, SHOW_CURSOR, Terminal, terminal

WATCH = (*COMMAND, "watch")
NOBODY = "amqp://guest:password-of-the-broker@127.0.0.1:1/%2F"


@pytest.fixture
def contoso(sqlite_url: str) -> Iterator[Book]:
    with book(sqlite_url) as made:
        yield made


def on(database_url: str, amqp_url: str = NOBODY, *arguments: str) -> AbstractContextManager[Terminal]:
    environment = EntraSms({"database_url": database_url, "amqp_url": amqp_url}).environment
    return terminal([*WATCH, *arguments], environment)


def change(made: Book, kind: str) -> None:
    row = {"at": datetime.now(UTC), "kind": kind, "object_id": guid("somebody"), "reason": "notification"}
    with made.database.write() as connection:
        connection.execute(insert(changes).values(tenant_id=made.tenant_id, **row))


def await_line(screen: Terminal, *texts: str) -> None:
    """Wait until one line of the screen has all of `texts`."""

    def there() -> bool:
        lines = screen.screen()
        assert any(all(text in line for text in texts) for line in lines), lines
        return True

    eventually(there, what=f"a line with {texts}")


# What it shows


def test_it_shows_the_tenants_and_what_happens_while_it_runs(database_url: str, amqp_url: str) -> None:
    with book(database_url) as contoso:
        look_on(contoso, database_url, amqp_url)


def look_on(contoso: Book, database_url: str, amqp_url: str) -> None:
    contoso.person("Anna", phone="+48601234567")
    contoso.person("Bert")
    contoso.group("Sales")
    with on(database_url, amqp_url) as watch:
        await_line(watch, "RabbitMQ  0 workers; waiting: nothing")
        await_line(watch, "✗ No worker listens on the queue.")
        await_line(watch, "Last minute  no changes")
        eventually(
            lambda: any(line.split()[:4] == ["Contoso", "2", "1", "1"] for line in watch.screen()), what="counts"
        )

        change(contoso, "contact.changed")
        change(contoso, "contact.changed")
        change(contoso, "membership.removed")
        contoso.round(Stream.USERS, guid("request"), mode="incremental", reason="notification", added=0, changed=2)
        contoso.stream(Stream.USERS, last_change_at=datetime.now(UTC), last_change_lag_seconds=0.42)
        began = datetime.now(UTC) - timedelta(seconds=10)
        contoso.stream(Stream.GROUPS, full_began_at=began, full_objects=700, full_pages=7)

        await_line(watch, "Last minute  2 contacts changed, 1 membership removed")
        await_line(watch, "Contoso", "users", "2", "notification")
        await_line(watch, "Contoso groups", "700 groups, ", "/s, for ")
        await_line(watch, "Contoso", "0.4 s")
        assert "password" not in watch.written


def test_one_tenant_is_watched_alone(contoso: Book, sqlite_url: str) -> None:
    with book(sqlite_url, "Nordwind", None) as other:
        contoso.round(Stream.USERS, guid("request"), reason="calendar")
        with on(sqlite_url, NOBODY, "--tenant", "nordwind") as watch:
            await_line(watch, "Nordwind")
            other.round(Stream.USERS, guid("another"), reason="calendar")
            await_line(watch, "Nordwind", "regular full sync")
            assert not watch.shows("Contoso")


def test_a_full_sync_that_a_pause_holds_up_is_not_under_way(contoso: Book, sqlite_url: str) -> None:
    contoso.stream(Stream.USERS, full_began_at=datetime.now(UTC), full_objects=700)
    with on(sqlite_url) as watch:
        await_line(watch, "Contoso users", "700 people")
        with contoso.database.write() as connection:
            tenants.pause(connection, contoso.tenant_id, "moves", datetime.now(UTC))
        await_line(watch, "Contoso", "paused")
        assert not watch.shows("Full syncs under way")


# How it ends


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "Ctrl-C"])
def test_it_ends_by_a_key_and_leaves_the_terminal_as_it_was(contoso: Book, sqlite_url: str, key: str) -> None:
    with on(sqlite_url) as watch:
        before = watch.modes()
        await_line(watch, "Last minute")
        assert watch.modes() != before

        watch.type(key)

        assert watch.process.wait(20) == 0
        assert watch.modes() == before
        end = watch.written[watch.written.rindex(OTHER_SCREEN) :]
        assert end.rindex(FIRST_SCREEN) > end.rindex("Last minute")
        assert end.rindex(SHOW_CURSOR) > end.rindex("Last minute")
        assert "Traceback" not in watch.written


def test_other_keys_do_nothing(contoso: Book, sqlite_url: str) -> None:
    with on(sqlite_url) as watch:
        await_line(watch, "Last minute")
        watch.type("x\x1b[A\x1a \n")
        drawings = watch.written.count("Last minute")
        eventually(lambda: watch.written.count("Last minute") > drawings + 1, what="more drawings")
        assert watch.process.poll() is None


def test_what_can_never_work_ends_it_with_the_reason(contoso: Book, sqlite_url: str) -> None:
    with on(sqlite_url, NOBODY, "--tenant", "Contosso") as watch:
        assert watch.process.wait(30) == 1
        eventually(lambda: "Did you mean 'Contoso'?" in watch.written, what="the reason")
        assert watch.written.rindex("Did you mean") > watch.written.rindex(FIRST_SCREEN)


def test_without_a_terminal_it_names_the_command_for_programs(contoso: Book, sqlite_url: str) -> None:
    ended = EntraSms({"database_url": sqlite_url}).run("watch")

    assert (ended.code, ended.out) == (2, "")
    assert "entra-sms status --json" in ended.err


# Sizes


def test_it_follows_the_size_of_the_terminal(contoso: Book, sqlite_url: str) -> None:
    contoso.tenant(name="A tenant with a name that is longer than a narrow terminal is wide")
    for number in range(40):
        contoso.round(Stream.USERS, guid(str(number)), reason="calendar")
    with on(sqlite_url) as watch:
        for columns, rows in ((80, 24), (40, 10), (120, 50), (20, 4)):
            watch.resize(columns, rows)

            def fits(columns: int = columns, rows: int = rows) -> bool:
                lines = watch.screen()
                assert len(lines) == rows, lines
                assert max(len(line) for line in lines) <= columns, lines
                return any(line.startswith("Database") and len(line) > 12 for line in lines)

            eventually(fits, what=f"a screen of {columns} x {rows}")
            if rows > 4:
                await_line(watch, "A t")


# Away


def test_a_database_that_dies_is_shown_and_it_goes_on_when_it_is_back(tmp_path: Path) -> None:
    with Run.claim("mortal", var=tmp_path) as run, mortal_postgres_of(run) as mortal:
        url = mortal.cluster.url_of("postgres")
        upgrade(url)
        with book(url) as made, on(url) as watch:
            await_line(watch, "Contoso", "active")
            assert mortal.kill()
            await_line(watch, "Database", "The database failed")
            assert watch.shows("Contoso"), "what was seen last stays"
            mortal.revive()
            change(made, "group.added")
            await_line(watch, "Last minute  1 group added")


def test_a_broker_that_dies_is_shown_and_it_goes_on_when_it_is_back(
    contoso: Book, sqlite_url: str, mortal_broker: MortalBroker
) -> None:
    with on(sqlite_url, mortal_broker.broker.amqp_url) as watch:
        await_line(watch, "RabbitMQ  0 workers")
        mortal_broker.kill()
        await_line(watch, "RabbitMQ  cannot be reached")
        mortal_broker.revive()
        await_line(watch, "RabbitMQ  0 workers")
        await_line(watch, "Contoso")


def test_a_database_that_hangs_holds_up_neither_the_screen_nor_the_keys(postgresql_url: str) -> None:
    with (
        FaultProxy(address_of(postgresql_url)) as proxy,
        book(postgresql_url),
        on(through(proxy, postgresql_url)) as watch,
    ):
        await_line(watch, "Contoso")
        proxy.stall()
        await_line(watch, "Database", "what is shown is", "old")
        watch.type("q")

        assert watch.process.wait(30) == 0
        assert proxy.fired["stall"]
