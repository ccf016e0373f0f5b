"""The shapes of answers: delta pages, objects, members, subscriptions; what is of no known shape is not stored."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import responses

from common.errors import BadPageError
from common.graph.answers import GraphConflictError, GraphNotFoundError
from common.graph.client import GraphClient
from common.graph.resources import SELECT
from common.messages import Stream
from tests.support.graph import DELTA_LINK, GRAPH, allow_login, client, error

USERS = f"{GRAPH}/v1.0/users/delta"
NEXT = f"{USERS}?$skiptoken=next"
MEMBERS = f"{GRAPH}/v1.0/groups/g1/members"
SUBSCRIPTIONS = f"{GRAPH}/v1.0/subscriptions"
A_SUBSCRIPTION = {
    "id": "7F105C7D-2DC5-4530-97CD-4E7AE6534C07",
    "resource": "/Users",
    "changeType": "updated,deleted",
    "notificationUrl": "https://sync.example/graph/notifications",
    "expirationDateTime": "2026-03-20T11:00:00.1234567Z",
    "clientState": None,
}


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        allow_login(mock)
        yield mock


@pytest.fixture
def graph() -> GraphClient:
    return client()


def page(**links: Any) -> dict[str, Any]:
    return {"value": [{"id": "1"}], **{f"@odata.{name}": link for name, link in links.items()}}


# Delta pages


@pytest.mark.parametrize("link", ["{beginning}", "{escaped}"])
@pytest.mark.parametrize("stream", list(Stream))
def test_a_page_that_leads_back_to_the_beginning_is_refused(
    mock: responses.RequestsMock, graph: GraphClient, stream: Stream, link: str
) -> None:
    """Another round would begin there, and who left since this one began would never be told."""
    beginning = f"{GRAPH}/v1.0/{stream}/delta?$select={','.join(SELECT[stream])}"
    back = link.format(beginning=beginning, escaped=beginning.replace("$", "%24").replace(",", "%2C"))
    mock.get(f"{GRAPH}/v1.0/{stream}/delta", json=page(nextLink=back))
    with pytest.raises(BadPageError, match="repeats a nextLink"):
        graph.first_page(stream)
    with pytest.raises(BadPageError, match="repeats a nextLink"):
        graph.page(f"{GRAPH}/v1.0/{stream}/delta?$skiptoken=two")


@pytest.mark.parametrize("stream", list(Stream))
def test_a_full_round_begins_with_the_select_list_and_nothing_else(
    mock: responses.RequestsMock, graph: GraphClient, stream: Stream
) -> None:
    mock.get(f"{GRAPH}/v1.0/{stream}/delta", json=page(deltaLink=DELTA_LINK))
    graph.first_page(stream)
    query = parse_qs(urlsplit(mock.calls[-1].request.url).query)
    assert query == {"$select": [",".join(SELECT[stream])]}


def test_a_page_leads_to_the_next_or_ends_the_round(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.get(DELTA_LINK, json=page(nextLink=NEXT))
    mock.get(NEXT, json=page(deltaLink=DELTA_LINK))
    first, last = graph.page(DELTA_LINK), graph.page(NEXT)
    assert (first.next_link, first.delta_link) == (NEXT, None)
    assert (last.next_link, last.delta_link) == (None, DELTA_LINK)


def test_an_empty_page_is_a_page(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.get(DELTA_LINK, json={"value": [], "@odata.nextLink": NEXT})
    assert graph.page(DELTA_LINK).items == []


@pytest.mark.parametrize(
    "body",
    [
        page(),
        page(nextLink=NEXT, deltaLink=DELTA_LINK),
        page(nextLink=""),
        page(nextLink=5),
        page(deltaLink=["https://graph.example"]),
        page(deltaLink=DELTA_LINK) | {"value": None},
        page(deltaLink=DELTA_LINK) | {"value": {"id": "1"}},
        page(deltaLink=DELTA_LINK) | {"value": [{"id": "1"}, "text"]},
        {"@odata.deltaLink": DELTA_LINK},
    ],
)
def test_a_page_of_no_known_shape_is_refused(mock: responses.RequestsMock, graph: GraphClient, body: Any) -> None:
    mock.get(DELTA_LINK, json=body)
    with pytest.raises(BadPageError):
        graph.page(DELTA_LINK)


def test_a_next_link_that_leads_to_itself_is_refused(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.get(NEXT, json=page(nextLink=NEXT))
    with pytest.raises(BadPageError, match="never end"):
        graph.page(NEXT)


@pytest.mark.parametrize("name", ["nextLink", "deltaLink"])
def test_a_page_that_leads_to_a_foreign_place_is_refused_as_a_whole(
    mock: responses.RequestsMock, graph: GraphClient, name: str
) -> None:
    mock.get(DELTA_LINK, json=page(**{name: "https://evil.example/v1.0/users/delta?$skiptoken=next"}))
    with pytest.raises(BadPageError, match="foreign"):
        graph.page(DELTA_LINK)


def test_a_foreign_next_link_is_refused_when_it_is_to_be_followed(graph: GraphClient) -> None:
    with responses.RequestsMock() as nobody, pytest.raises(BadPageError, match="foreign"):
        graph.page("https://evil.example/v1.0/users/delta?$skiptoken=next")
    assert len(nobody.calls) == 0


# Objects


def test_an_object_is_read_with_the_properties_that_delta_shows(
    mock: responses.RequestsMock, graph: GraphClient
) -> None:
    mock.get(f"{GRAPH}/v1.0/groups/g1", json={"id": "g1"})
    graph.get(Stream.GROUPS, "g1")
    query = parse_qs(urlsplit(mock.calls[-1].request.url).query)
    assert query == {"$select": ["id,displayName,mail,groupTypes,mailEnabled,securityEnabled"]}


def test_members_are_read_to_the_last_page(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.get(MEMBERS, json={"value": [{"id": "1"}], "@odata.nextLink": f"{MEMBERS}?$skiptoken=2"})
    mock.get(f"{MEMBERS}?$skiptoken=2", json={"value": []})
    assert list(graph.members("g1")) == [{"id": "1"}]


def test_a_members_list_that_goes_round_in_circles_is_refused(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.get(f"{MEMBERS}?$skiptoken=2", json={"value": [], "@odata.nextLink": f"{MEMBERS}?$skiptoken=3"})
    mock.get(f"{MEMBERS}?$skiptoken=3", json={"value": [], "@odata.nextLink": f"{MEMBERS}?$skiptoken=2"})
    mock.get(MEMBERS, json={"value": [], "@odata.nextLink": f"{MEMBERS}?$skiptoken=2"})
    with pytest.raises(BadPageError):
        list(graph.members("g1"))


# Subscriptions


def test_a_subscription_is_shown_with_ids_and_resource_in_one_spelling(
    mock: responses.RequestsMock, graph: GraphClient
) -> None:
    mock.get(SUBSCRIPTIONS, json={"value": [A_SUBSCRIPTION]})
    [found] = graph.subscriptions()
    assert found.subscription_id == "7f105c7d-2dc5-4530-97cd-4e7ae6534c07"
    assert found.resource == Stream.USERS
    assert found.expires_at == datetime(2026, 3, 20, 11, 0, 0, 123456, tzinfo=UTC)


def test_all_pages_of_the_subscriptions_are_read(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.get(SUBSCRIPTIONS, json={"value": [], "@odata.nextLink": f"{SUBSCRIPTIONS}?$skiptoken=2"})
    mock.get(f"{SUBSCRIPTIONS}?$skiptoken=2", json={"value": [A_SUBSCRIPTION]})
    assert len(graph.subscriptions()) == 1


def test_a_list_of_subscriptions_that_goes_round_in_circles_is_refused(
    mock: responses.RequestsMock, graph: GraphClient
) -> None:
    mock.get(SUBSCRIPTIONS, json={"value": [], "@odata.nextLink": SUBSCRIPTIONS})
    with pytest.raises(BadPageError):
        graph.subscriptions()


@pytest.mark.parametrize("missing", ["id", "resource", "changeType", "notificationUrl", "expirationDateTime"])
def test_a_subscription_of_no_known_shape_is_refused(
    mock: responses.RequestsMock, graph: GraphClient, missing: str
) -> None:
    mock.get(SUBSCRIPTIONS, json={"value": [{k: v for k, v in A_SUBSCRIPTION.items() if k != missing}]})
    with pytest.raises(BadPageError):
        graph.subscriptions()


def test_a_subscription_is_asked_for_with_both_addresses_and_a_proof(
    mock: responses.RequestsMock, graph: GraphClient
) -> None:
    mock.post(SUBSCRIPTIONS, status=201, json=A_SUBSCRIPTION)
    expires_at = datetime(2026, 3, 9, 8, 0, tzinfo=UTC)
    graph.create_subscription(
        Stream.USERS, public_url="https://sync.example", client_state="proof", expires_at=expires_at
    )
    assert orjson.loads(mock.calls[-1].request.body) == {
        "resource": "users",
        "changeType": "updated,deleted",
        "notificationUrl": "https://sync.example/graph/notifications",
        "lifecycleNotificationUrl": "https://sync.example/graph/lifecycle",
        "clientState": "proof",
        "expirationDateTime": "2026-03-09T08:00:00.000000Z",
    }


def test_a_second_subscription_meets_the_first(mock: responses.RequestsMock, graph: GraphClient) -> None:
    message = f"Subscription Id {A_SUBSCRIPTION['id']} already exists for the requested combination"
    mock.post(SUBSCRIPTIONS, status=409, json=error("ObjectIdentifierInUse", message))
    with pytest.raises(GraphConflictError):
        graph.create_subscription(Stream.USERS, public_url="", client_state="", expires_at=datetime.now(UTC))


def test_a_renewal_moves_the_expiry_alone(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.patch(f"{SUBSCRIPTIONS}/s1", json=A_SUBSCRIPTION)
    renewed = graph.renew_subscription("s1", datetime(2026, 3, 9, 8, 0, tzinfo=UTC))
    assert orjson.loads(mock.calls[-1].request.body) == {"expirationDateTime": "2026-03-09T08:00:00.000000Z"}
    assert renewed.expires_at.day == 20  # what Graph made of it, not what was asked for


def test_a_subscription_that_is_gone_is_told_apart(mock: responses.RequestsMock, graph: GraphClient) -> None:
    mock.delete(f"{SUBSCRIPTIONS}/s1", status=404, json=error("ResourceNotFound"))
    with pytest.raises(GraphNotFoundError):
        graph.delete_subscription("s1")
