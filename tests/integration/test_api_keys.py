"""Who may read: a key opens its tenants, nothing else, and only as long as it is valid."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from common.db import api_keys, erasure
from tests.support.api import Api, api_in_process, make_key
from tests.support.book import Book, add_tenant, book, guid


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        yield made


@pytest.fixture
def nordwind(contoso: Book) -> Book:
    """Another company, with somebody in it."""
    with contoso.database.write() as connection:
        made = Book(contoso.database, add_tenant(connection, "Nordwind", None))
    made.person("Ben", guid("ben"))
    made.group("Staff", ("user", guid("ben")), object_id=guid("staff"))
    return made


@pytest.fixture
def api(contoso: Book, database_url: str) -> Iterator[Api]:
    with api_in_process(database_url, contoso.tenant_id) as made:
        yield made


PATHS = (
    "",
    "/contacts",
    f"/contacts/{guid('ben')}",
    "/groups",
    f"/groups/{guid('staff')}",
    f"/groups/{guid('staff')}/members",
    f"/recipients?group={guid('staff')}",
    f"/recipients/count?group={guid('staff')}",
    "/reports/missing",
    "/reports/invalid",
    "/reports/shared",
    "/reports/not-mobile",
    "/changes",
)


def test_a_key_opens_its_tenant(api: Api, contoso: Book) -> None:
    assert [one["tenant_id"] for one in api.read("/v1/tenants")["items"]] == [contoso.tenant_id]
    assert api.read(f"/v1/tenants/{contoso.tenant_id}")["name"] == "Contoso"


@pytest.mark.parametrize("path", PATHS)
def test_a_foreign_tenant_is_answered_like_one_that_does_not_exist(api: Api, nordwind: Book, path: str) -> None:
    nowhere = guid("nowhere")
    foreign, missing = (api.get(f"/v1/tenants/{tenant_id}{path}") for tenant_id in (nordwind.tenant_id, nowhere))

    assert foreign.status_code == missing.status_code == 404
    assert foreign.text.replace(nordwind.tenant_id, nowhere) == missing.text
    assert dict(foreign.headers) == dict(missing.headers)
    whole = make_key(nordwind.database, name="whole", all_tenants=True)
    assert api.get(f"/v1/tenants/{nordwind.tenant_id}{path}", key=whole).status_code == 200


def test_the_people_and_groups_of_another_tenant_are_not_found_in_the_own_one(
    api: Api, contoso: Book, nordwind: Book
) -> None:
    mine = f"/v1/tenants/{contoso.tenant_id}"
    for path in PATHS:
        answer = api.get(f"{mine}{path}")
        assert guid("ben") not in answer.text.replace(f"There is no person {guid('ben')}", "")
    assert api.get(f"{mine}/contacts/{guid('ben')}").status_code == 404
    assert api.get(f"{mine}/groups/{guid('staff')}/members").status_code == 404


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic {key}", "{key}", "Bearer {key}0", "Bearer x{key}", "Bearer esms_x", "Bearer ł"],
)
@pytest.mark.parametrize("path", ["/v1/tenants", "/v1/tenants?nonsense=1", f"/v1/tenants/{guid('Contoso')}/contacts"])
def test_without_a_key_that_is_known_nobody_learns_anything(api: Api, authorization: str, path: str) -> None:
    given = authorization.format(key=api.key).encode().decode("latin-1")
    answer = api.client.get(path, headers={"Authorization": given} if given else {})

    assert answer.status_code == 401
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["type"] == "urn:entra-sms:key-needed"
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="entra-sms"')
    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers


def test_the_word_bearer_is_read_in_any_case(api: Api) -> None:
    assert api.client.get("/v1/tenants", headers={"Authorization": f"bearer {api.key}"}).status_code == 200


def test_a_revoked_key_ends_with_the_next_request(api: Api, contoso: Book) -> None:
    assert api.get("/v1/tenants").status_code == 200
    with contoso.database.write() as connection:
        [key] = api_keys.find(connection)
        assert api_keys.revoke(connection, key.key_id, datetime.now(UTC))
    assert api.get("/v1/tenants").status_code == 401


def test_a_key_ends_at_its_time(contoso: Book, database_url: str) -> None:
    now = [datetime(2026, 3, 2, 8, tzinfo=UTC)]
    with api_in_process(database_url, contoso.tenant_id, clock=lambda: now[0]) as api:
        key = make_key(contoso.database, contoso.tenant_id, name="short", expires_at=now[0] + timedelta(hours=1))
        assert api.get("/v1/tenants", key=key).status_code == 200
        now[0] += timedelta(hours=1)
        assert api.get("/v1/tenants", key=key).status_code == 401
        assert api.get("/v1/tenants").status_code == 200


def test_a_key_for_all_opens_tenants_that_come_later_and_one_for_some_does_not(api: Api, contoso: Book) -> None:
    whole = make_key(contoso.database, name="whole", all_tenants=True)
    assert len(api.get("/v1/tenants", key=whole).get_json()["items"]) == 1
    with contoso.database.write() as connection:
        add_tenant(connection, "Later", None)
    assert len(api.get("/v1/tenants", key=whole).get_json()["items"]) == 2
    assert len(api.read("/v1/tenants")["items"]) == 1


def test_a_tenant_that_is_removed_and_added_again_is_not_opened_by_its_old_key(api: Api, contoso: Book) -> None:
    with contoso.database.write() as connection:
        erasure.erase(connection, contoso.tenant_id)
        assert add_tenant(connection, "Contoso", None) == contoso.tenant_id
    assert api.read("/v1/tenants") == {"items": [], "next_cursor": None}
    assert api.get(f"/v1/tenants/{contoso.tenant_id}").status_code == 404


def test_the_pages_of_tenants_are_those_that_the_key_opens(contoso: Book, database_url: str) -> None:
    with contoso.database.write() as connection:
        ids = [add_tenant(connection, f"Tenant {number}", None) for number in range(7)]
    with api_in_process(database_url, *ids[:5]) as api:
        found = [one["tenant_id"] for page in api.pages("/v1/tenants", 2) for one in page]
    assert found == sorted(ids[:5])
