"""Whoever locks both streams of a tenant in PostgreSQL locks that of the people first: nobody waits for each other."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import Connection, text

from common.broker.publisher import Publisher
from common.clock import utc_now
from common.commands import Command, Verb
from common.db import erasure, tenants
from common.errors import AccessError
from common.messages import Reason, Stream
from tests.support.bench import settings
from tests.support.book import Book, book, guid
from tests.support.eventually import eventually
from tests.support.leases import acquire
from tests.support.recording_publisher import RecordingPublisher
from worker import access, leases
from worker.book import Writer
from worker.commands import Commands
from worker.leases import Lease, StreamKey

STAFF = guid("staff")


@pytest.fixture
def found(postgresql_url: str) -> Iterator[Book]:
    with book(postgresql_url) as made:
        for stream in (Stream.GROUPS, Stream.USERS):  # a statement for both meets them in this order
            made.stream(stream, next_poll_at=utc_now() + timedelta(hours=1))
        yield made


def taken(made: Book, stream: Stream) -> Lease:
    lease = acquire(made.database, StreamKey(made.tenant_id, stream), "one")
    assert lease is not None
    return lease


def notes(made: Book, connection: Connection) -> None:
    """What a transaction of either stream does when somebody comes back: his groups are to be read."""
    now = made.database.now(connection)
    writer = Writer(
        database=made.database,
        connection=connection,
        tenant_id=made.tenant_id,
        default_region=None,
        generation=1,
        full=False,
        reason=Reason.POLL,
        now=now,
        recheck_at=now,
        removal_limit=tenants.USUAL_REMOVAL_LIMIT,
        hold_id=None,
    )
    writer.recheck(Stream.GROUPS, "members", [STAFF])


def held_up(made: Book) -> bool:
    with made.database.read() as connection:
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return bool(connection.scalar(waiting))


def side_by_side(made: Book, first: Stream, last: Callable[[Connection], object], other: Callable[[], object]) -> None:
    """A transaction holds the stream `first`; `other` comes and waits for it; then it goes on with `last`."""
    lease = taken(made, first)
    with ThreadPoolExecutor(1) as pool:
        with made.database.write() as connection:
            leases.hold(made.database, connection, lease)
            beside = pool.submit(other)
            eventually(lambda: held_up(made))
            last(connection)
        beside.result()


def test_both_streams_note_the_same_group_to_be_read(found: Book) -> None:
    people = taken(found, Stream.USERS)

    def somebody_is_back() -> None:
        with found.database.write() as connection:
            leases.hold(found.database, connection, people)
            notes(found, connection)

    side_by_side(found, Stream.GROUPS, lambda connection: notes(found, connection), somebody_is_back)


def test_a_command_reads_a_group_that_the_worker_notes_to_be_read(found: Book) -> None:
    publisher: Any = RecordingPublisher()
    commands = Commands(settings(), found.database, cast("Publisher", publisher))
    command = Command(Verb.RESYNC_OBJECT, found.tenant_id, Stream.GROUPS, "read it", object_id=STAFF)
    side_by_side(
        found,
        Stream.GROUPS,
        lambda connection: notes(found, connection),
        lambda: commands.carry_out(command),
    )


def paused(made: Book) -> None:
    with made.database.write() as connection:
        assert tenants.pause(connection, made.tenant_id, "a test", made.database.now(connection))


def made_due(made: Book) -> None:
    with made.database.write() as connection:
        tenants.make_due(connection, made.tenant_id, made.database.now(connection))


def erased(made: Book) -> None:
    with made.database.write() as connection:
        erasure.erase(connection, made.tenant_id)


def refused(made: Book) -> None:
    with made.database.read() as connection:
        tenant = tenants.get(connection, made.tenant_id)
    assert tenant is not None
    access.note_failed(made.database, tenant, AccessError("It has expired.", "Make a new one.", "AADSTS7000222"))


@pytest.mark.parametrize("other", [paused, made_due, erased, refused])
def test_somebody_changes_both_streams_while_a_person_comes_back(found: Book, other: Callable[[Book], None]) -> None:
    side_by_side(found, Stream.USERS, lambda connection: notes(found, connection), lambda: other(found))
