"""The proof of a tenant's access: each permission by a read that needs it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import responses

from common.errors import AccessError
from common.graph.access import PROBES, check_access
from common.graph.answers import GraphThrottledError, GraphUnavailableError
from common.graph.client import GraphClient
from tests.support.graph import GRAPH, TOKEN, allow_discovery, allow_login, client, error, refusal

ANY_READ = re.compile(re.escape(GRAPH) + "/v1.0/.*")


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def graph() -> GraphClient:
    return client()


def test_access_that_works_proves_every_permission(mock: responses.RequestsMock, graph: GraphClient) -> None:
    allow_login(mock)
    mock.get(ANY_READ, json={"value": []})
    proofs = check_access(graph)
    assert [proof.permission for proof in proofs] == ["User.Read.All", "Group.Read.All", "GroupMember.Read.All"]
    assert all(proof.works for proof in proofs)


def test_no_probe_reads_anything_of_a_person() -> None:
    for permission, path in PROBES:
        assert "$deltatoken=latest" in path or path.startswith("groups?$select=id&$top=1"), permission


@pytest.mark.parametrize("permission", [name for name, _ in PROBES])
def test_the_permission_that_is_missing_is_named_and_only_that(
    mock: responses.RequestsMock, graph: GraphClient, permission: str
) -> None:
    allow_login(mock)
    for name, path in PROBES:
        denied = name == permission
        mock.get(
            f"{GRAPH}/v1.0/{path}",
            status=403 if denied else 200,
            json=error("Authorization_RequestDenied") if denied else {"value": []},
        )
    [missing] = [proof for proof in check_access(graph) if not proof.works]
    assert missing.permission == permission
    assert missing.trouble is not None
    assert f"The application permission {permission} is missing" in missing.trouble
    assert "Grant admin consent" in missing.trouble


def test_a_consent_that_was_just_given_counts_at_the_next_check(
    mock: responses.RequestsMock, graph: GraphClient
) -> None:
    allow_login(mock)
    mock.get(ANY_READ, status=403, json=error("Authorization_RequestDenied"))
    check_access(graph)
    mock.replace(responses.POST, TOKEN, json={"token_type": "Bearer", "expires_in": 3599, "access_token": "consented"})
    mock.replace(responses.GET, ANY_READ, json={"value": []})
    assert all(proof.works for proof in check_access(graph))
    assert mock.calls[-1].request.headers["Authorization"] == "Bearer consented"


@pytest.mark.parametrize("body", [refusal(7000215), {"error": "invalid_client"}])
def test_a_refused_secret_is_no_missing_permission(mock: responses.RequestsMock, graph: GraphClient, body: Any) -> None:
    allow_discovery(mock)
    mock.post(TOKEN, status=401, json=body)
    with pytest.raises(AccessError):
        check_access(graph)


@pytest.mark.parametrize("body", [error("InvalidAuthenticationToken"), {}])
def test_a_refused_token_is_no_missing_permission(mock: responses.RequestsMock, graph: GraphClient, body: Any) -> None:
    allow_login(mock)
    mock.get(ANY_READ, status=401, json=body)
    with pytest.raises(AccessError):
        check_access(graph)


@pytest.mark.parametrize(("status", "trouble"), [(503, GraphUnavailableError), (429, GraphThrottledError)])
def test_a_graph_in_trouble_proves_nothing_against_a_permission(
    mock: responses.RequestsMock, graph: GraphClient, status: int, trouble: type[Exception]
) -> None:
    allow_login(mock)
    mock.get(ANY_READ, status=status)
    with pytest.raises(trouble):
        check_access(graph)
