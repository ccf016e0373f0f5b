"""Whatever Graph or the login service, or somebody in their place, names as an address: no secret goes to strangers.

The strangers are the Graph and the login service of another cloud, in which other tenants could be: that helps nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from common.clock import utc_now
from common.db import tenants
from common.errors import BadPageError, EntraSmsError
from common.graph.answers import GraphRefusedError
from common.graph.client import GraphClient
from common.graph.resources import fingerprint
from common.messages import Stream
from common.scope import EVERYBODY
from tests.support.bench import Bench, settings
from tests.support.book import book, guid
from tests.support.lying_graph import Answer, LyingGraph, lying_graph
from tests.support.pen import person
from worker.clients import Clients

ANNA, STAFF = guid("anna"), guid("staff")
DELTA = "/v1.0/users/delta"

FOREIGN = {
    "another port": "https://127.0.0.1:{stranger}/v1.0/users/delta",
    "another name": "https://localhost:{stranger}/v1.0/users/delta",
    "another name on the own port": "https://localhost:{own}/v1.0/users/delta",
    "capital letters": "HTTPS://LOCALHOST:{stranger}/v1.0/users/delta",
    "http": "http://127.0.0.1:{plain}/v1.0/users/delta",
    "http on the own port": "http://127.0.0.1:{own}/v1.0/users/delta",
    "own origin as the user": "https://127.0.0.1:{own}@127.0.0.1:{stranger}/v1.0/users/delta",
    "own name as the user": "https://127.0.0.1@localhost:{stranger}/v1.0/users/delta",
    "a user": "https://graph@127.0.0.1:{own}/v1.0/users/delta",
    "a backslash before the at sign": "https://127.0.0.1:{own}\\@127.0.0.1:{stranger}/v1.0/users/delta",
    "a backslash after the stranger": "https://127.0.0.1:{stranger}\\@127.0.0.1:{own}/v1.0/users/delta",
    "a backslash as the slash": "https:\\\\127.0.0.1:{stranger}\\v1.0/users/delta",
    "a trailing dot": "https://localhost.:{stranger}/v1.0/users/delta",
    "full-width digits": "https://\uff11\uff12\uff17.0.0.1:{stranger}/v1.0/users/delta",
    "circled letters": "https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3:{stranger}/v1.0/users/delta",
    "an ideographic dot": "https://127\u30020.0.1:{stranger}/v1.0/users/delta",
    "one number": "https://2130706433:{stranger}/v1.0/users/delta",
    "hexadecimal": "https://0x7f.1:{stranger}/v1.0/users/delta",
    "IPv6 of the same": "https://[::ffff:127.0.0.1]:{stranger}/v1.0/users/delta",
    "no scheme": "//127.0.0.1:{stranger}/v1.0/users/delta",
    "no scheme and host": "/v1.0/users/delta",
    "a tab": "https://127.0.0.1:{stranger}\t/v1.0/users/delta",
    "a line end": "https://127.0.0.1:{own}\n@127.0.0.1:{stranger}/v1.0/users/delta",
    "a space before": " https://127.0.0.1:{stranger}/v1.0/users/delta",
    "a question mark": "https://127.0.0.1:{stranger}?@127.0.0.1:{own}/v1.0/users/delta",
    "a fragment": "https://127.0.0.1:{stranger}#@127.0.0.1:{own}/v1.0/users/delta",
    "three slashes": "https:///127.0.0.1:{stranger}/v1.0/users/delta",
    "another scheme": "ftp://127.0.0.1:{plain}/v1.0/users/delta",
}


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[LyingGraph]:
    with lying_graph(tmp_path) as graph:
        yield graph


@pytest.fixture
def bench(graph: LyingGraph, sqlite_url: str) -> Iterator[Bench]:
    """A worker with real clients, whose tenant signs in."""
    with book(sqlite_url) as found:
        graph.sign_in(found.tenant_id)
        stranger = graph.stranger.port
        clouds = f"elsewhere=https://127.0.0.1:{stranger},https://localhost:{stranger}"
        known = settings(**graph.settings, clouds=clouds)
        yield Bench(found, settings=known, clients=Clients(known))


@pytest.fixture(params=FOREIGN)
def foreign(request: pytest.FixtureRequest, graph: LyingGraph) -> str:
    ports = {"own": graph.port, "stranger": graph.stranger.port, "plain": graph.plain_stranger.port}
    return FOREIGN[request.param].format(**ports)


def client_of(bench: Bench) -> GraphClient:
    with bench.book.database.read() as connection:
        tenant = tenants.get(connection, bench.book.tenant_id)
    assert tenant is not None
    found: GraphClient = bench.clients.of(tenant)
    return found


def page(*people: dict[str, object], **links: str) -> Answer:
    return Answer({"value": list(people), **{f"@odata.{name}": link for name, link in links.items()}})


def test_the_strangers_are_there_and_a_client_without_care_would_reach_them(graph: LyingGraph) -> None:
    graph.answers[DELTA] = Answer(status=307, headers={"Location": f"https://localhost:{graph.stranger.port}/"})
    with requests.Session() as session:
        session.trust_env = False
        headers = {"X-Token": "of the control"}
        session.get(f"{graph.url}{DELTA}", headers=headers, verify=str(graph.ca_file), timeout=30)
        session.get(f"http://127.0.0.1:{graph.plain_stranger.port}/", headers=headers, timeout=30)
    assert (graph.stranger.connections, graph.plain_stranger.connections) == (1, 1)
    assert all("of the control" in heard for heard in graph.stranger.received + graph.plain_stranger.received)


@pytest.mark.parametrize("kind", ["nextLink", "deltaLink"])
def test_a_foreign_link_of_a_delta_page_is_not_followed_and_not_stored(
    bench: Bench, graph: LyingGraph, foreign: str, kind: str
) -> None:
    graph.answers[DELTA] = page(person(ANNA), **{kind: foreign})
    for _ in range(2):
        with pytest.raises(BadPageError):
            bench.advance()
    assert [path.partition("?")[0] for path in graph.asked].count(DELTA) == 2, "the lie was not told"
    assert graph.strangers_met == 0
    row = bench.row()
    assert (row["full_link"], row["delta_link"], row["next_link"]) == (None, None, None)
    assert bench.people() == set()


def test_a_foreign_link_in_the_database_is_not_followed(bench: Bench, graph: LyingGraph, foreign: str) -> None:
    graph.answers[DELTA] = page(person(ANNA), deltaLink=f"{graph.url}{DELTA}?$deltatoken=1")
    bench.advance()
    for name in ("delta_link", "next_link"):
        bench.book.stream(Stream.USERS, **{name: foreign})
        graph.asked.clear()
        graph.answers[DELTA] = page(person(ANNA), deltaLink=f"{graph.url}{DELTA}?$deltatoken=2")
        bench.advance()
        row = bench.row()
        assert (row["delta_link"], row["next_link"]) == (f"{graph.url}{DELTA}?$deltatoken=2", None)
    assert graph.strangers_met == 0


def test_a_foreign_link_of_a_full_round_in_the_database_begins_it_again(
    bench: Bench, graph: LyingGraph, foreign: str
) -> None:
    under_way = {"full_began_at": utc_now(), "full_reason": "operator", "full_link": foreign, "generation": 1}
    bench.book.stream(Stream.USERS, fingerprint=fingerprint(Stream.USERS, "PL", EVERYBODY), **under_way)
    graph.answers[DELTA] = page(person(ANNA), deltaLink=f"{graph.url}{DELTA}?$deltatoken=1")
    bench.advance()
    assert (bench.row()["full_began_at"], bench.row()["generation"]) == (None, 2)
    assert bench.people() == {ANNA}
    assert graph.strangers_met == 0


def test_a_foreign_link_of_a_list_is_not_followed(bench: Bench, graph: LyingGraph, foreign: str) -> None:
    client = client_of(bench)
    graph.answers[f"/v1.0/groups/{STAFF}/members"] = page({"id": ANNA}, nextLink=foreign)
    graph.answers["/v1.0/subscriptions"] = page(nextLink=foreign)
    with pytest.raises(BadPageError):
        list(client.members(STAFF))
    with pytest.raises(BadPageError):
        client.subscriptions()
    assert len([path for path in graph.asked if path.startswith("/v1.0/")]) == 2
    assert graph.strangers_met == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(bench: Bench, graph: LyingGraph, foreign: str, status: int) -> None:
    # What no header can carry no redirect can lead to.
    location = foreign.encode("ascii", "ignore").decode().replace("\n", "").replace("\t", "")
    moved = Answer(status=status, headers={"Location": location})
    graph.answers |= {DELTA: moved, f"/v1.0/users/{ANNA}": moved, "/v1.0/subscriptions": moved}
    client = client_of(bench)
    for ask in (
        lambda: client.first_page(Stream.USERS),
        lambda: client.get(Stream.USERS, ANNA),
        client.subscriptions,
        lambda: client.page(f"{graph.url}{DELTA}?$deltatoken=1"),
    ):
        with pytest.raises(GraphRefusedError):
            ask()
    assert len([path for path in graph.asked if path.startswith("/v1.0/")]) == 4
    assert graph.strangers_met == 0


@pytest.mark.parametrize("path", ["/v1.0/groups/delta", "/beta/users/delta", "/elsewhere", "/v1.0/../x"])
def test_a_link_of_the_own_origin_may_have_any_path(bench: Bench, graph: LyingGraph, path: str) -> None:
    graph.answers[DELTA] = page(person(ANNA), nextLink=f"{graph.url}{path}?$skiptoken=1")
    graph.answers[path] = page(deltaLink=f"{graph.url}/end?$deltatoken=1")
    graph.answers["/end"] = page(deltaLink=f"{graph.url}/end?$deltatoken=2")
    bench.advance()
    assert bench.people() == {ANNA}
    assert f"{path}?$skiptoken=1" in graph.asked
    assert graph.strangers_met == 0


# The login service gets the client secret


@pytest.mark.parametrize("status", [302, 307, 308])
def test_the_client_secret_follows_no_redirect(bench: Bench, graph: LyingGraph, status: int) -> None:
    for name in ("oauth2/v2.0/token", "v2.0/.well-known/openid-configuration"):
        graph.sign_in(bench.book.tenant_id)
        location = f"https://localhost:{graph.stranger.port}/token"
        graph.answers[f"/{bench.book.tenant_id}/{name}"] = Answer({}, status, {"Location": location})
        with pytest.raises(EntraSmsError):
            client_of(bench).first_page(Stream.USERS)
        assert graph.asked[-1] == f"/{bench.book.tenant_id}/{name}"
    assert graph.strangers_met == 0


def test_the_client_secret_goes_to_no_foreign_token_endpoint(bench: Bench, graph: LyingGraph, foreign: str) -> None:
    graph.sign_in(bench.book.tenant_id, token_endpoint=foreign)
    with pytest.raises(EntraSmsError):
        client_of(bench).first_page(Stream.USERS)
    assert [path for path in graph.asked if "openid-configuration" in path], "the lie was not told"
    assert not [path for path in graph.asked if path.startswith("/v1.0/")]
    assert graph.strangers_met == 0
