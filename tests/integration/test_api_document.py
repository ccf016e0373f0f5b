"""The OpenAPI document says what the API does: requests drawn from it, for each operation, are answered as it says."""

from collections import Counter
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from common.db.engine import Database
from console.api.app import create_app
from tests.support.api import Api, api_in_process, with_key
from tests.support.book import Book, book, guid
from tests.support.fuzzing import EXAMPLES, SEED
from tests.support.pen import Pen, group, member, person

DOCUMENT = create_app(Database.from_url("sqlite:///nowhere.sqlite", read_only=True)).api_doc  # opens nothing
OPERATIONS = sorted(DOCUMENT["paths"])
ANNA, BEN, STAFF, SALES = map(guid, ("anna", "ben", "staff", "sales"))
KNOWN = {"contacts": ANNA, "groups": STAFF}


@pytest.fixture
def contoso(sqlite_url: str) -> Iterator[Book]:
    """A company that has something to tell to every question."""
    with book(sqlite_url) as made:
        pen = Pen(made)
        pen.users(
            person(ANNA, displayName="Anna Nowak", mobilePhone="601 234 567", mail="anna@contoso.example"),
            person(BEN, displayName="Ben", businessPhones=["22 123 45 67"]),
            person(guid("cleo"), displayName="Cleo", mobilePhone="22 123 45 67"),
            person(guid("dora"), displayName=None),
            person(guid("emil"), displayName="Emil", mobilePhone="reception"),
        )
        pen.groups(group(STAFF, member(ANNA), member(SALES, "group"), name="Staff"), group(SALES, member(BEN)))
        yield made


@pytest.fixture
def api(contoso: Book, sqlite_url: str) -> Iterator[Api]:
    with api_in_process(sqlite_url, contoso.tenant_id) as made:
        yield made


def aimed(case: Case, tenant_id: str, data: st.DataObject) -> Case:
    """Let a request that was drawn mostly ask for what there is, and leave out what nobody can guess: cursors."""
    path, query = case.path_parameters, case.query
    if "tenant_id" in path and data.draw(st.integers(0, 4)):
        path["tenant_id"] = tenant_id
        if "object_id" in path:
            path["object_id"] = next(known for word, known in KNOWN.items() if word in case.operation.path)
    query.pop("cursor", None)
    if isinstance(query.get("group"), list):
        query["group"] = [STAFF]
        query["except"] = [SALES] if query.get("except") else []
    elif "group" in query:
        query["group"] = STAFF
    else:
        query.pop("direct", None)
    return case


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("path", OPERATIONS)
def test_what_is_drawn_from_the_document_is_answered_as_it_says(
    api: Api, contoso: Book, path: str, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", api.client.application)
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=max(1, EXAMPLES // 20), deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @seed(SEED)
    @given(schema[path]["GET"].as_strategy(generation_mode=mode), st.data())
    def ask(case: Case, data: st.DataObject) -> None:
        if mode is GenerationMode.POSITIVE:
            case = aimed(case, contoso.tenant_id, data)
        response = case.call_and_validate(headers=with_key(api.key))
        statuses[response.status_code] += 1

    ask()
    if mode is GenerationMode.POSITIVE:
        assert statuses[200] > 0
    else:
        assert statuses.keys() <= {200, 400, 401, 404}
        assert statuses[400] + statuses[404] > 0


def test_every_route_below_v1_is_in_the_document_and_nothing_else(api: Api) -> None:
    rules = [rule for rule in api.client.application.url_map.iter_rules() if rule.rule.startswith("/v1")]
    assert all((rule.methods or set()) <= {"GET", "HEAD"} for rule in rules)
    assert sorted(rule.rule.replace("<uuid:", "{").replace(">", "}") for rule in rules) == OPERATIONS
    assert len({one["get"]["operationId"] for one in DOCUMENT["paths"].values()}) == len(OPERATIONS) == 14
