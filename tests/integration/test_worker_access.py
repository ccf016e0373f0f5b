"""A refusal of Entra: it is noted for the credentials that were refused, and for no others."""

from collections.abc import Iterator

import pytest

from common.db import tenants
from common.db.engine import Database
from common.db.tenants import Tenant, TenantState
from common.errors import AccessError
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
