"""A running simulator, clients for it, and endpoints that receive its notifications.

One https server serves all tests; every test gets a world of its own behind it.
"""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from simulator.access_tokens import AccessTokens
from simulator.app import create_app
from simulator.certificates import Authority, ensure_authority
from simulator.clock import Clock
from simulator.server import Server
from simulator.tenant import Tenant
from simulator.world import Plan, World

PATIENCE_SECONDS = 10.0


@dataclass
class Received:
    """A request that an endpoint got."""

    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def items(self) -> list[dict[str, Any]]:
        return json.loads(self.body)["value"]


@dataclass
class Reply:
    """What an endpoint answers."""

    status: int = 202
    body: bytes = b""
    content_type: str = "text/plain"
    after: threading.Event | None = None


class Endpoint:
    """A small https server that validates well and accepts notifications, unless told otherwise."""

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self.handshakes: list[Received] = []
        self.deliveries: list[Received] = []
        self.on_handshake: Callable[[Received], Reply] = lambda asked: Reply(200, token_of(asked))
        self.on_delivery: Callable[[Received], Reply] = lambda _: Reply()
        self._changed = threading.Condition()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                got = Received(parts.path, parts.query, dict(self.headers.items()), body)
                endpoint.answer(self, got)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self._server.server_address[1]}/hook"

    def answer(self, handler: http.server.BaseHTTPRequestHandler, got: Received) -> None:
        is_handshake = "validationToken" in got.query
        reply = self.on_handshake(got) if is_handshake else self.on_delivery(got)
        with self._changed:
            (self.handshakes if is_handshake else self.deliveries).append(got)
            self._changed.notify_all()
        if reply.after is not None:
            reply.after.wait(PATIENCE_SECONDS)
        try:
            handler.send_response(reply.status)
            handler.send_header("Content-Type", reply.content_type)
            handler.send_header("Content-Length", str(len(reply.body)))
            handler.end_headers()
            handler.wfile.write(reply.body)
        except OSError:
            pass  # the other side lost patience, which is what such tests are about

    @property
    def items(self) -> list[dict[str, Any]]:
        """Every notification that was received, in order of arrival."""
        with self._changed:
            return [item for delivery in self.deliveries for item in delivery.items]

    def wait_for_items(self, count: int) -> list[dict[str, Any]]:
        with self._changed:
            ready = lambda: sum(len(each.items) for each in self.deliveries) >= count  # noqa: E731
            assert self._changed.wait_for(ready, PATIENCE_SECONDS), f"{count} notifications did not come"
        return self.items

    def wait_for_deliveries(self, count: int) -> list[Received]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.deliveries) >= count, PATIENCE_SECONDS)
            return list(self.deliveries)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def token_of(asked: Received) -> bytes:
    return parse_qs(asked.query)["validationToken"][0].encode()


@dataclass
class Simulated:
    """A world behind the server, and the ways to talk to it."""

    world: World
    origin: str
    ca_file: Path
    session: requests.Session
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def tenant(self) -> Tenant:
        return next(iter(self.world.tenants.values()))

    @property
    def clock(self) -> Clock:
        return self.world.clock

    # Requests

    def request(self, method: str, url: str, **arguments: Any) -> requests.Response:
        """Send a request exactly as spelled, to a path or to a link that the simulator gave."""
        full = url if url.startswith("https://") else self.origin + url
        return self.session.request(method, full, **{"verify": str(self.ca_file), "timeout": 30} | arguments)

    def control(self, method: str, path: str, body: Any = None, *, expect: int | None = None) -> Any:
        answer = self.request(method, f"/control/tenants/default{path}", json=body)
        if expect is None:
            assert answer.ok, answer.text
        else:
            assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    def token(self, scope: str | None = None, **changed: str) -> requests.Response:
        application = self.tenant.application
        form = {
            "grant_type": "client_credentials",
            "client_id": application.client_id,
            "client_secret": application.client_secret,
            "scope": scope or f"{self.origin}/.default",
        } | changed
        return self.request("POST", f"/{self.tenant.id}/oauth2/v2.0/token", data=form)

    def sign_in(self, scope: str | None = None) -> str:
        """Fetch a token and use it from now on."""
        answer = self.token(scope)
        assert answer.ok, answer.text
        self._tokens["current"] = answer.json()["access_token"]
        return self._tokens["current"]

    def graph(self, method: str, path: str, *, headers: dict[str, str] | None = None, **arguments: Any) -> Any:
        if "current" not in self._tokens:
            self.sign_in()
        url = path if path.startswith("https://") else f"/v1.0{path}"
        authorization = {"Authorization": f"Bearer {self._tokens['current']}"}
        return self.request(method, url, headers=authorization | (headers or {}), **arguments)

    def get(self, path: str, **arguments: Any) -> dict[str, Any]:
        answer = self.graph("GET", path, **arguments)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def error(self, method: str, path: str, **arguments: Any) -> tuple[int, str, str]:
        """Return status, code and message of an answer that is an error."""
        answer = self.graph(method, path, **arguments)
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]

    # Delta

    def pages(self, path: str, **arguments: Any) -> list[dict[str, Any]]:
        """Return all pages of the round that starts at a path or link."""
        pages = [self.get(path, **arguments)]
        while "@odata.nextLink" in pages[-1]:
            assert len(pages) < 500, "the round does not end"
            pages.append(self.get(pages[-1]["@odata.nextLink"], **arguments))
        return pages

    def round(self, path: str, **arguments: Any) -> tuple[list[dict[str, Any]], str]:
        """Return all items of a round and its deltaLink."""
        pages = self.pages(path, **arguments)
        return [item for page in pages for item in page["value"]], pages[-1]["@odata.deltaLink"]

    # Shortcuts to the control API

    def hire(self, name: str = "Test Person", **properties: Any) -> str:
        principal = f"{name.replace(' ', '.').lower()}@{self.tenant.domain}"
        body = {"displayName": name, "userPrincipalName": principal, "accountEnabled": True} | properties
        return self.control("POST", "/users", body, expect=201)["id"]

    def found(self, name: str = "Test Group", **properties: Any) -> str:
        body = {"displayName": name, "securityEnabled": True, "mailEnabled": False, "groupTypes": []} | properties
        return self.control("POST", "/groups", body, expect=201)["id"]

    def join(self, group_id: str, member_id: str) -> None:
        self.control("POST", f"/groups/{group_id}/members", {"id": member_id})

    def part(self, group_id: str, member_id: str) -> None:
        self.control("DELETE", f"/groups/{group_id}/members/{member_id}")

    def turn(self, **knobs: Any) -> None:
        self.control("PUT", "/faults", knobs)

    def fired(self, knob: str) -> int:
        return self.control("GET", "/faults")["fired"].get(knob, 0)

    def advance(self, seconds: float) -> None:
        self.control("POST", "/clock", {"advance_seconds": seconds})

    def statistic(self, group: str, name: str) -> int:
        return self.control("GET", "/statistics")[group].get(name, 0)

    def wait_for(self, group: str, name: str, count: int) -> None:
        """Wait until a counter of the statistics has come to `count`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.tenant.statistics.report()[group].get(name, 0) < count:
            assert time.monotonic() < deadline, self.tenant.statistics.report()
            time.sleep(0.005)

    # Subscriptions

    def subscription_body(self, endpoint: Endpoint, resource: str = "users", **changed: Any) -> dict[str, Any]:
        return {
            "changeType": "updated,deleted",
            "notificationUrl": endpoint.url,
            "resource": resource,
            "expirationDateTime": self.in_days(3),
            "clientState": "agreed-secret",
        } | changed

    def subscribe(self, endpoint: Endpoint, resource: str = "users", **changed: Any) -> dict[str, Any]:
        answer = self.graph("POST", "/subscriptions", json=self.subscription_body(endpoint, resource, **changed))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def in_days(self, days: float) -> str:
        return (datetime.now(UTC) + timedelta(days=days)).isoformat(timespec="milliseconds")


Simulate = Callable[..., Simulated]


class _CurrentWorld:
    """Stands for the world of the running test, so that one application can serve them all."""

    world: World

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world, name)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return ensure_authority(tmp_path_factory.mktemp("simulator"))


@pytest.fixture(scope="session")
def _access_tokens() -> AccessTokens:
    return AccessTokens()


@pytest.fixture(scope="session")
def _current() -> _CurrentWorld:
    return _CurrentWorld()


@pytest.fixture(scope="session")
def _server(authority: Authority, _current: _CurrentWorld) -> Iterator[Server]:
    files = authority.issue(authority.certificate_file.parent, "simulator", ["127.0.0.1"])
    server = Server(create_app(_current), "127.0.0.1", 0, *files)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def simulate(
    _server: Server,
    _current: _CurrentWorld,
    _session: requests.Session,
    _access_tokens: AccessTokens,
    authority: Authority,
) -> Iterator[Simulate]:
    """Start a simulator of a given size: `simulate(users=5, groups=0, knobs={...})`."""
    worlds: list[World] = []

    def start(*, users: int = 5, groups: int = 0, tenants: int = 1, seed: int = 1, **knobs: Any) -> Simulated:
        plan = Plan(users=users, groups=groups, tenants=tenants, seed=seed, settings=knobs)
        world = World(plan, Clock(), authority.certificate_file, _access_tokens)
        _current.world = world
        world.start()
        worlds.append(world)
        return Simulated(world, f"https://127.0.0.1:{_server.port}", authority.certificate_file, _session)

    yield start
    for world in worlds:
        world.stop()


@pytest.fixture
def simulated(simulate: Simulate) -> Simulated:
    """A simulator with five users and no groups."""
    return simulate()


@pytest.fixture
def make_endpoint(authority: Authority, tmp_path: Path) -> Iterator[Callable[[], Endpoint]]:
    endpoints: list[Endpoint] = []

    def make() -> Endpoint:
        endpoints.append(Endpoint(authority.issue(tmp_path, "endpoint", [])))
        return endpoints[-1]

    yield make
    for endpoint in endpoints:
        endpoint.close()


@pytest.fixture
def endpoint(make_endpoint: Callable[[], Endpoint]) -> Endpoint:
    return make_endpoint()


@pytest.fixture
def reply() -> type[Reply]:
    """The class of what an endpoint answers."""
    return Reply
