"""Where tokens go: to the configured origin alone, along links that are left as they are."""

import re
from pathlib import Path

import pytest
import responses

from common.errors import BadPageError
from common.graph.answers import GraphRefusedError
from common.graph.http import GraphHttp
from tests.support.graph import GRAPH, CountedToken, graph_http
from tests.support.https_listener import https_listener


@pytest.fixture
def http() -> GraphHttp:
    return graph_http()


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/users/delta",
        "https://graph.example.evil.example/v1.0/users/delta",
        "https://evil.example/graph.example",
        "https://graph.example:8443/v1.0/users/delta",
        "https://graph.example:99999/v1.0/users/delta",
        "http://graph.example/v1.0/users/delta",
        "ftp://graph.example/v1.0/users/delta",
        "//graph.example/v1.0/users/delta",
        "/v1.0/users/delta",
        "https:graph.example/v1.0/users/delta",
        "https://user@graph.example/v1.0/users/delta",
        "https://:secret@graph.example/v1.0/users/delta",
        "https://graph.example@evil.example/v1.0/users/delta",
        "https://graph.example\\@evil.example/",
        "https://evil.example\\@graph.example/",
        "https://graph.example\\.evil.example/",
        "https://graph.example\\/v1.0/users/delta",
        "https://graph.example/v1.0\\users",
        "https://graph.example\t.evil.example/",
        "https://gra\nph.example/v1.0/users/delta",
        "https://graph.example/v1.0/users/delta\r\nX-Evil: 1",
        "https://graph.example/v1.0/users/delta?a b",
        " https://graph.example/v1.0/users/delta",
        "\x00https://graph.example/v1.0/users/delta",
        "https://graph.example/\x7f",
        "https://graph.example./v1.0/users/delta",
        "https://\uff47raph.example/v1.0/users/delta",
        "https://[::1",
        "",
    ],
)
def test_a_foreign_or_crooked_link_is_refused_before_anything_is_sent(http: GraphHttp, link: str) -> None:
    token = CountedToken()
    with responses.RequestsMock() as mock, pytest.raises(BadPageError):
        http.call("GET", link, token)
    assert len(mock.calls) == 0
    assert token.given == []


@pytest.mark.parametrize(
    "link",
    [
        "https://graph.example/v1.0/users/delta",
        "https://graph.example:443/v1.0/users/delta",
        "HTTPS://GRAPH.EXAMPLE/v1.0/users/delta",
        "https://Graph.Example/v1.0/users/delta?$deltatoken=x@evil.example",
    ],
)
def test_the_own_origin_may_be_spelled_in_any_way(http: GraphHttp, link: str) -> None:
    with responses.RequestsMock() as mock:
        mock.get(re.compile("(?i)https://graph.example(:443)?/v1.0/users/delta"), json={"value": []})
        assert http.call("GET", link, CountedToken()) == {"value": []}


@pytest.mark.parametrize("target", ["https://evil.example/", f"{GRAPH}/v1.0/elsewhere"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_never_followed(http: GraphHttp, status: int, target: str) -> None:
    with responses.RequestsMock() as mock:
        mock.get(f"{GRAPH}/v1.0/users/delta", status=status, headers={"Location": target})
        with pytest.raises(GraphRefusedError):
            http.call("GET", f"{GRAPH}/v1.0/users/delta", CountedToken(), carries_token=True)
        assert len(mock.calls) == 1


@pytest.mark.parametrize(
    "target",
    [
        "/v1.0/users/delta?$deltatoken=aB-_.~0",
        "/v1.0/users/delta?%24skiptoken=a%2Fb%2B%3D%25",
        "/v1.0/users/delta?$skiptoken=a%2Fb/c?d:e@f",
        "/v1.0/groups/delta()?$deltatoken='quoted'&x=(1,2);y=*",
        "/v1.0/users/microsoft.graph.delta?$deltatoken=a+b",
        "/v1.0/a/../b/./c?$deltatoken=dots",
    ],
)
def test_a_link_goes_over_the_wire_as_it_was_given(tmp_path: Path, target: str) -> None:
    with https_listener(tmp_path) as listener:
        http = graph_http(graph_url=listener.url, ca_bundle=str(listener.ca_file))
        http.call("GET", listener.url + target, CountedToken())
        http.session.close()
    assert listener.targets == [target]


def test_every_request_names_itself_and_asks_to_be_throttled_first(tmp_path: Path) -> None:
    with https_listener(tmp_path) as listener:
        http = graph_http(graph_url=listener.url, ca_bundle=str(listener.ca_file))
        http.call("GET", f"{listener.url}/v1.0/users/delta", CountedToken())
        http.session.close()
    [headers] = listener.headers
    assert headers["Authorization"] == "Bearer token-1"
    assert headers["x-ms-throttle-priority"] == "Low"
    assert headers["User-Agent"].startswith("entra-sms-sync/")
    assert headers["client-request-id"]


def test_a_netrc_file_does_not_replace_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with https_listener(tmp_path) as listener:
        http = graph_http(graph_url=listener.url, ca_bundle=str(listener.ca_file))
        http.call("GET", f"{listener.url}/v1.0/users/delta", CountedToken())
        http.session.close()
    assert listener.headers[0]["Authorization"] == "Bearer token-1"


def test_a_server_with_another_certificate_is_not_spoken_to(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with https_listener(tmp_path) as listener, https_listener(other) as stranger:
        http = graph_http(graph_url=listener.url, ca_bundle=str(stranger.ca_file))
        with pytest.raises(Exception, match="SSLError"):
            http.call("GET", f"{listener.url}/v1.0/users/delta", CountedToken())
        http.session.close()
    assert listener.targets == []
