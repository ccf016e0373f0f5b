"""What is counted of the requests to Graph: answers, throttling, and what they cost."""

from collections.abc import Iterator

import pytest
import requests
import responses

from common.graph.answers import GraphThrottledError, GraphUnavailableError, PermissionMissingError
from common.graph.client import GraphClient
from common.messages import Stream
from tests.support.counted import Counted
from tests.support.graph import DELTA_LINK, GRAPH, allow_login, client, error

USERS = f"{GRAPH}/v1.0/users/delta"
PAGE = {"value": [], "@odata.deltaLink": DELTA_LINK}
UNITS = "entra_sms_graph_resource_units_total"


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        allow_login(mock)
        yield mock


@pytest.fixture
def graph() -> GraphClient:
    return client()


def test_answers_are_counted_by_status_and_timed(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.get(USERS, json=PAGE)
    counted = Counted()
    graph.first_page(Stream.USERS)
    assert counted.of("entra_sms_graph_requests_total", status="200") == 1
    assert counted.of("entra_sms_graph_request_seconds_count") == 1


def test_a_request_without_an_answer_is_counted_and_timed_too(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.get(USERS, body=requests.ConnectTimeout())
    counted = Counted()
    with pytest.raises(GraphUnavailableError):
        graph.first_page(Stream.USERS)
    assert counted.of("entra_sms_graph_requests_total", status="none") == 1
    assert counted.of("entra_sms_graph_request_seconds_count") == 1
    assert counted.of(UNITS) == 0


@pytest.mark.parametrize(("header", "seconds"), [({"Retry-After": "2.5"}, 2.5), ({}, 0.0)])
def test_throttling_is_counted_with_the_seconds_that_graph_asked_for(
    mock: responses.RequestsMock, graph: GraphClient, header: dict[str, str], seconds: float
) -> None:
    mock.get(USERS, status=429, headers=header, json=error("TooManyRequests"))
    counted = Counted()
    with pytest.raises(GraphThrottledError):
        graph.first_page(Stream.USERS)
    assert counted.of("entra_sms_graph_throttled_total") == 1
    assert counted.of("entra_sms_graph_throttled_seconds_total") == seconds


@pytest.mark.parametrize(("told", "units"), [("5", 5), ("", 1), ("many", 1), ("-3", 1)])
def test_a_request_costs_what_graph_says_else_what_its_documentation_says(
    mock: responses.RequestsMock, graph: GraphClient, told: str, units: int
) -> None:
    mock.get(USERS, json=PAGE, headers={"x-ms-resource-unit": told} if told else {})
    counted = Counted()
    graph.first_page(Stream.USERS)
    assert counted.of(UNITS) == units


def test_reading_members_costs_two(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.get(f"{GRAPH}/v1.0/groups/g1/members", json={"value": []})
    counted = Counted()
    assert list(graph.members("g1")) == []
    assert counted.of(UNITS) == 2


def test_what_is_refused_costs_nothing(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.get(USERS, status=403, json=error("Authorization_RequestDenied"))
    counted = Counted()
    with pytest.raises(PermissionMissingError):
        graph.first_page(Stream.USERS)
    assert counted.of(UNITS) == 0
