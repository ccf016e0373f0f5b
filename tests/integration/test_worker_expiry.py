"""Credentials that expire: each warning once, and what Entra itself says of the end."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import select
from structlog.testing import LogCapture

from common.clock import utc_now
from common.db import tenants
from common.db.engine import Database
from common.db.tables import results
from common.db.tables import tenants as tenants_table
from common.errors import AccessError
from tests.support.book import Book, add_tenant, lent_book
from worker import access
from worker.expiry import Expiries


@pytest.fixture
def contoso(shared_database_url: str) -> Iterator[Book]:
    with lent_book(shared_database_url) as book:
        yield book


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The lines that are logged."""
    capture = LogCapture()
    monkeypatch.setattr("worker.expiry.log", structlog.wrap_logger(structlog.ReturnLogger(), processors=[capture]))
    return capture.entries


def expiring(book: Book, left: timedelta | None) -> None:
    book.tenant(credential_expires_at=None if left is None else utc_now() + left)


def warnings(book: Book) -> list[dict[str, Any]]:
    with book.database.read() as connection:
        query = select(results).where(results.c.kind == "warning").order_by(results.c.result_id)
        return [dict(row) for row in connection.execute(query).mappings()]


def told(book: Book) -> int | None:
    with book.database.read() as connection:
        found: int | None = connection.scalar(select(tenants_table.c.expiry_told_days))
        return found


def ends_at(book: Book) -> datetime | None:
    with book.database.read() as connection:
        return tenants.find(connection, "*")[0].credential_expires_at


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (timedelta(days=30, hours=1), None),
        (timedelta(days=29, hours=1), 30),
        (timedelta(days=7, hours=1), 30),
        (timedelta(days=6, hours=1), 7),
        (timedelta(days=1, hours=1), 7),
        (timedelta(hours=23), 1),
        (timedelta(seconds=-1), None),
        (None, None),
    ],
    ids=str,
)
def test_a_warning_is_given_so_many_days_before(
    contoso: Book, said: list[Any], left: timedelta | None, days: int | None
) -> None:
    expiring(contoso, left)
    Expiries(contoso.database).look()
    assert told(contoso) == days
    assert [line["within_days"] for line in said] == ([] if days is None else [days])
    assert len(warnings(contoso)) == (days is not None)


def test_the_warning_says_who_until_when_and_what_to_do(contoso: Book, said: list[Any]) -> None:
    expiring(contoso, timedelta(days=6, hours=12))
    expires_at = ends_at(contoso)
    assert expires_at is not None

    Expiries(contoso.database).look()

    [warning] = warnings(contoso)
    assert warning["tenant_id"] == contoso.tenant_id
    assert warning["publish_after"] is not None
    assert warning["summary"] == (
        f"Contoso: The credential expires on {expires_at.date()}, in 7 days. Make a new one in the Entra admin center, "
        "and give it with: entra-sms tenants credential"
    )
    assert (warning["body"]["what"], warning["body"]["days_left"]) == ("credential_expires", 7)
    [line] = said
    assert (line["event"], line["log_level"], line["tenant"]) == ("credential_expires", "warning", contoso.tenant_id)


def test_each_warning_is_given_once_by_whichever_workers_and_after_restarts(contoso: Book) -> None:
    for days in (30, 7, 1):
        expiring(contoso, timedelta(days=days) - timedelta(hours=1))
        for _ in range(3):
            Expiries(contoso.database).look()
    assert [one["body"]["days_left"] for one in warnings(contoso)] == [30, 7, 1]


def test_workers_that_look_at_the_same_moment_give_it_once(contoso: Book, shared_database_url: str) -> None:
    with contoso.database.write() as connection:
        for number in range(20):
            add_tenant(connection, f"Tenant {number}", None, credential_expires_at=utc_now() + timedelta(days=3))
    databases = [Database.from_url(shared_database_url) for _ in range(4)]
    barrier = threading.Barrier(len(databases))

    def look(database: Database) -> None:
        expiries = Expiries(database)
        barrier.wait(30)
        expiries.look()

    with ThreadPoolExecutor(len(databases)) as pool:
        list(pool.map(look, databases))
    for database in databases:
        database.close()
    Expiries(contoso.database).look()

    warned = [one["tenant_id"] for one in warnings(contoso)]
    assert len(warned) == len(set(warned)) == 20


def test_a_worker_looks_again_only_after_a_while(contoso: Book) -> None:
    expiries = Expiries(contoso.database)
    expiries.look()
    expiring(contoso, timedelta(days=3))
    expiries.look()
    assert warnings(contoso) == []


def test_a_new_credential_begins_anew(contoso: Book) -> None:
    expiring(contoso, timedelta(days=3))
    Expiries(contoso.database).look()
    with contoso.database.write() as connection:
        soon = utc_now() + timedelta(days=5)
        assert tenants.change_credential(connection, contoso.tenant_id, "sealed anew", soon, utc_now())
    assert told(contoso) is None
    Expiries(contoso.database).look()
    assert len(warnings(contoso)) == 2


def test_a_paused_tenant_is_told_when_it_goes_on(contoso: Book) -> None:
    expiring(contoso, timedelta(days=3))
    with contoso.database.write() as connection:
        tenants.pause(connection, contoso.tenant_id, "it moves", utc_now())
    Expiries(contoso.database).look()
    assert warnings(contoso) == []
    with contoso.database.write() as connection:
        tenants.resume(connection, contoso.tenant_id, utc_now())
    Expiries(contoso.database).look()
    assert len(warnings(contoso)) == 1


# What Entra itself says


def refuse(book: Book, code: str) -> None:
    with book.database.read() as connection:
        (tenant,) = tenants.find(connection, "*")
    access.note_failed(book.database, tenant, AccessError("It has expired.", "Make a new one.", code))


@pytest.mark.parametrize("code", ["AADSTS7000222", "AADSTS1000502"])
@pytest.mark.parametrize("noted", [None, timedelta(days=90)], ids=["unknown", "wrong"])
def test_a_refusal_as_expired_tells_the_end(contoso: Book, code: str, noted: timedelta | None) -> None:
    expiring(contoso, noted)
    before = utc_now()
    refuse(contoso, code)
    found = ends_at(contoso)
    assert found is not None
    assert before - timedelta(seconds=5) <= found <= utc_now() + timedelta(seconds=5)
    first = found
    refuse(contoso, code)
    assert ends_at(contoso) == first, "it is known since when it has expired"
    Expiries(contoso.database).look()
    assert [one["body"]["what"] for one in warnings(contoso)] == ["access_failed"], "the failed access was told already"


def test_an_end_that_is_known_and_over_is_kept(contoso: Book) -> None:
    expiring(contoso, timedelta(days=-2))
    before = ends_at(contoso)
    refuse(contoso, "AADSTS7000222")
    assert ends_at(contoso) == before


def test_another_refusal_tells_nothing_of_the_end(contoso: Book) -> None:
    expiring(contoso, None)
    refuse(contoso, "AADSTS7000215")
    assert ends_at(contoso) is None


def test_an_old_credential_that_is_refused_as_expired_tells_nothing_of_the_new_one(contoso: Book) -> None:
    expiring(contoso, None)
    with contoso.database.read() as connection:
        (refused,) = tenants.find(connection, "*")
    contoso.tenant(credential="a newer one, sealed")
    access.note_failed(contoso.database, refused, AccessError("It has expired.", "Make a new one.", "AADSTS7000222"))
    assert ends_at(contoso) is None
