"""A simulated directory inside the test's process, and an endpoint for its notifications that validates."""

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from simulator.access_tokens import AccessTokens
from simulator.app import create_app
from simulator.certificates import Authority
from simulator.clock import Clock
from simulator.server import Server
from simulator.tenant import Tenant
from simulator.world import Plan, World


@dataclass(frozen=True)
class GraphWorld:
    """One simulated tenant, and the settings with which it is reached."""

    world: World
    url: str
    ca_file: Path

    @property
    def tenant(self) -> Tenant:
        return next(iter(self.world.tenants.values()))

    @property
    def settings(self) -> dict[str, str]:
        return {"graph_url": self.url, "login_url": self.url, "ca_bundle": str(self.ca_file)}

    def turn(self, **knobs: Any) -> None:
        """Turn knobs; `docs/simulator.md` describes them."""
        self.tenant.faults.turn(knobs)

    def fired(self, knob: str) -> int:
        return int(self.tenant.faults.report()["fired"].get(knob, 0))


@contextmanager
def graph_world(
    authority: Authority, folder: Path, *, users: int = 3, groups: int = 0, seed: int = 1
) -> Iterator[GraphWorld]:
    files = authority.issue(folder, "simulator", ["127.0.0.1"])
    plan = Plan(users=users, groups=groups, tenants=1, seed=seed, settings={})
    world = World(plan, Clock(), authority.certificate_file, AccessTokens())
    server = Server(create_app(world), "127.0.0.1", 0, *files)
    server.start()
    world.start()
    try:
        yield GraphWorld(world, f"https://127.0.0.1:{server.port}", authority.certificate_file)
    finally:
        world.stop()
        server.stop()


@dataclass
class Endpoint:
    """Where notifications go; while it is not `well`, it fails the validation.

    `meanwhile` is what else happens while a validation is under way, and so the subscription is not made yet.
    """

    url: str
    well: bool = True
    validations: int = 0
    meanwhile: Callable[[], object] = lambda: None


@contextmanager
def endpoint(authority: Authority, folder: Path) -> Iterator[Endpoint]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = parse_qs(urlsplit(self.path).query).get("validationToken", [""])[0]
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.validations += bool(asked)
            found.meanwhile()
            self.send_response(200 if found.well else 503)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(asked)))
            self.end_headers()
            self.wfile.write(asked.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest's output is for failures."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(folder, "endpoint", []))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found = Endpoint(f"https://localhost:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
