"""A tenant is erased from every table, its neighbour keeps everything, and workers under way are not in the way."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, insert, select, text, update

from common.db import erasure, tenants
from common.db.engine import Database
from common.db.tables import (
    api_key_tenants,
    api_keys,
    command_parts,
    commands,
    contacts,
    metadata,
    rechecks,
    results,
    scope_members,
    streams,
    subscriptions,
)
from common.errors import LeaseLostError
from common.messages import Stream
from tests.support.book import Book, book, guid
from tests.support.eventually import eventually
from tests.support.leases import acquire
from worker import leases, ledger
from worker.leases import StreamKey, Wishes
from worker.ledger import Part

NOW = datetime.now(UTC)


def fill(made: Book) -> None:
    """Rows of the tenant in every table there is."""
    ids = {"tenant_id": made.tenant_id}
    anna = made.person("Anna")
    made.group("Sales", ("user", anna))
    made.hold(Stream.USERS, anna)
    made.subscription(Stream.USERS, guid(f"subscription of {made.tenant_id}"), NOW)
    made.round(Stream.USERS, guid("request"))
    with made.database.write() as connection:
        command = {"digest": "", "received_at": NOW, "asked": {}}
        connection.execute(insert(commands).values(command_id=made.tenant_id, **command))
        connection.execute(insert(command_parts).values(command_id=made.tenant_id, part="users", **ids))
        key = {"name": f"for {made.tenant_id}", "digest": "", "all_tenants": False, "created_at": NOW}
        connection.execute(insert(api_keys).values(key_id=made.tenant_id, **key))
        connection.execute(insert(api_key_tenants).values(key_id=made.tenant_id, **ids))
        connection.execute(insert(scope_members).values(member_id=anna, **ids))
        recheck = {"stream": Stream.USERS, "object_id": anna, "what": "object", "due_at": NOW}
        connection.execute(insert(rechecks).values(recheck | ids))
        result = {
            "message_id": guid("result"),
            "at": NOW,
            "kind": "round",
            "outcome": "done",
            "summary": "",
            "body": {},
        }
        connection.execute(insert(results).values(result | ids))
        change = {"at": NOW, "kind": "contact.added", "object_id": anna, "reason": "poll"}
        connection.execute(insert(metadata.tables["changes"]).values(change | ids))


def counts(database: Database, tenant_id: str) -> dict[str, int]:
    with database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).where(table.c.tenant_id == tenant_id)).scalar_one()
            for table in metadata.sorted_tables
            if "tenant_id" in table.c
        }


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        fill(made)
        yield made


def test_every_row_goes_and_those_of_others_stay(contoso: Book, database_url: str) -> None:
    before = counts(contoso.database, contoso.tenant_id)
    assert min(before.values()) > 0, "this test fills every table that has rows of tenants"
    with book(database_url, "Nordwind", None) as other:
        fill(other)
        with contoso.database.write() as connection:
            erased = erasure.erase(connection, contoso.tenant_id)

        assert erased == before
        assert set(counts(contoso.database, contoso.tenant_id).values()) == {0}
        assert counts(other.database, other.tenant_id) == before


def test_who_is_not_there_is_erased_without_an_error(contoso: Book) -> None:
    with contoso.database.write() as connection:
        assert set(erasure.erase(connection, guid("nobody")).values()) == {0}


def test_a_worker_in_the_middle_of_a_page_commits_before_the_tenant_is_erased(postgresql_url: str) -> None:
    with book(postgresql_url) as made:
        anna = made.person("Anna")
        made.subscription(Stream.USERS, guid("subscription"), NOW)
        with made.database.write() as connection:
            assert leases.locked(connection, StreamKey(made.tenant_id, Stream.USERS))
            with _erasing(made):
                for change in (
                    update(contacts).where(contacts.c.object_id == anna).values(display_name="Anne"),
                    insert(contacts).values(_contact(made, guid("bert"))),
                    update(subscriptions).values(renewed_at=NOW),
                ):
                    connection.execute(change)
                connection.commit()

        assert set(counts(made.database, made.tenant_id).values()) == {0}


def test_who_changes_the_state_and_then_the_streams_commits_before_the_tenant_is_erased(postgresql_url: str) -> None:
    with book(postgresql_url) as made, made.database.write() as connection:
        connection.execute(update(metadata.tables["tenants"]).values(state="access_failed"))
        with _erasing(made):
            connection.execute(update(streams).values(next_poll_at=NOW))
            connection.commit()

        assert set(counts(made.database, made.tenant_id).values()) == {0}


def test_a_command_that_is_noted_is_noted_before_the_tenant_is_erased(postgresql_url: str) -> None:
    with book(postgresql_url) as made, made.database.write() as connection:
        key = StreamKey(made.tenant_id, Stream.USERS)
        connection.execute(insert(commands).values(command_id="one", digest="", received_at=NOW, asked={}))
        assert ledger.expect(made.database, connection, "one", made.tenant_id, Part.USERS)
        with _erasing(made):
            leases.note_wishes(connection, key, Wishes(request_ids=("one",)), NOW)
            connection.commit()

        assert set(counts(made.database, made.tenant_id).values()) == {0}


def test_nothing_is_expected_of_a_tenant_that_is_gone(contoso: Book) -> None:
    with contoso.database.write() as connection:
        connection.execute(insert(commands).values(command_id="one", digest="", received_at=NOW, asked={}))
        erasure.erase(connection, contoso.tenant_id)

        assert not ledger.expect(contoso.database, connection, "one", contoso.tenant_id, Part.USERS)


@contextmanager
def _erasing(made: Book) -> Iterator[None]:
    """Erase the tenant beside the block, which begins when the erasure waits for somebody and ends it by a commit."""

    def erase() -> None:
        with made.database.write() as connection:
            erasure.erase(connection, made.tenant_id)

    with ThreadPoolExecutor(1) as threads:
        erased = threads.submit(erase)
        eventually(lambda: _waits_for_a_lock(made.database), what="an erasure that waits")
        yield
        erased.result(60)


def test_a_pause_that_waits_for_a_page_fences_off_the_worker(postgresql_url: str) -> None:
    with book(postgresql_url) as made:
        key = StreamKey(made.tenant_id, Stream.USERS)
        lease = acquire(made.database, key, "one")
        assert lease is not None

        def pause() -> None:
            with made.database.write() as connection:
                tenants.pause(connection, made.tenant_id, "moves", NOW)

        pauser = threading.Thread(target=pause)
        with made.database.write() as connection:
            leases.hold(made.database, connection, lease)
            pauser.start()
            eventually(lambda: _waits_for_a_lock(made.database), what="a pause that waits for the page")
            connection.execute(insert(contacts).values(_contact(made, guid("bert"))))
        pauser.join(60)

        with pytest.raises(LeaseLostError), made.database.write() as connection:
            leases.hold(made.database, connection, lease)
        assert counts(made.database, made.tenant_id)["contacts"] == 1


def _contact(made: Book, object_id: str) -> dict[str, object]:
    return {"tenant_id": made.tenant_id, "object_id": object_id, "phone_state": "missing", "generation": 1}


def _waits_for_a_lock(database: Database) -> bool:
    with database.read() as connection:
        return connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one() > 0
