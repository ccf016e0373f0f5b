"""A refusal of Entra: it is noted for the credentials that were refused, and for no others."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from common.db import tenants
from common.db.engine import Database
from common.db.tables import results
from common.db.tenants import Tenant, TenantState
from common.errors import AccessError
from common.messages import Stream
from tests.support.book import Book, lent_book
from worker import access

REFUSED = AccessError("The client secret is wrong.", "Make a new one.", "AADSTS7000215")


@pytest.fixture
def contoso(shared_database_url: str) -> Iterator[Book]:
    with lent_book(shared_database_url) as book:
        yield book


def tenant_of(book: Book) -> Tenant:
    with book.database.read() as connection:
        (tenant,) = tenants.find(connection, "*")
    return tenant


def state_of(database: Database) -> TenantState:
    with database.read() as connection:
        return tenants.find(connection, "*")[0].state


def test_refused_credentials_are_noted(contoso: Book) -> None:
    access.note_failed(contoso.database, tenant_of(contoso), REFUSED)
    assert state_of(contoso.database) is TenantState.ACCESS_FAILED


def test_credentials_that_were_saved_during_the_refusal_of_the_old_ones_are_not_blamed(contoso: Book) -> None:
    refused = tenant_of(contoso)
    contoso.tenant(credential="a newer one, sealed")
    access.note_failed(contoso.database, refused, REFUSED)
    assert state_of(contoso.database) is TenantState.ACTIVE


def told(book: Book) -> list[tuple[str, str]]:
    with book.database.read() as connection:
        rows = connection.execute(select(results).order_by(results.c.result_id))
        return [(row.outcome, row.summary) for row in rows]


def test_operators_are_told_once_that_it_failed_and_once_that_it_works_again(contoso: Book) -> None:
    for _ in range(3):
        access.note_failed(contoso.database, tenant_of(contoso), REFUSED)
    for _ in range(2):
        access.note_recovered(contoso.database, tenant_of(contoso))
    assert told(contoso) == [
        ("warning", "Contoso: its access failed. The client secret is wrong. Make a new one."),
        ("done", "Contoso: its access works again."),
    ]


def test_while_one_stream_still_fails_the_access_has_not_recovered(contoso: Book) -> None:
    """One permission of three is missing: the people can be read, the groups cannot."""
    access.note_failed(contoso.database, tenant_of(contoso), REFUSED)
    contoso.stream(Stream.GROUPS, failures=4)
    access.note_recovered(contoso.database, tenant_of(contoso))
    assert state_of(contoso.database) is TenantState.ACCESS_FAILED
    contoso.stream(Stream.GROUPS, failures=0)
    access.note_recovered(contoso.database, tenant_of(contoso))
    assert state_of(contoso.database) is TenantState.ACTIVE


def test_what_is_proven_has_recovered_whatever_failed_before(contoso: Book) -> None:
    access.note_failed(contoso.database, tenant_of(contoso), REFUSED)
    contoso.stream(Stream.GROUPS, failures=4)
    access.note_recovered(contoso.database, tenant_of(contoso), proven=True)
    assert state_of(contoso.database) is TenantState.ACTIVE
