"""A Graph and a login service that answer what a test wrote down, and strangers that wait for whoever is led astray.

All of them have certificates of one authority, which the client trusts: nothing but the client's own care keeps it from
sending a token to a stranger.
"""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme

NAMES = ("127.0.0.1", "localhost", "::1")


@dataclass
class Answer:
    """What is answered to a path."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Stranger:
    """A server that nobody should ever call; `connections` counts every one that was opened, `received` what came."""

    port: int
    connections: int = 0
    received: list[str] = field(default_factory=list)


@dataclass
class LyingGraph:
    """`answers` are by path without the query; what was asked for stands in `asked`."""

    port: int
    ca_file: Path
    stranger: Stranger
    plain_stranger: Stranger
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        return {"graph_url": self.url, "login_url": self.url, "ca_bundle": str(self.ca_file)}

    @property
    def strangers_met(self) -> int:
        return self.stranger.connections + self.plain_stranger.connections

    def sign_in(self, tenant_id: str, **changed: str) -> None:
        """Answer as a login service does; `changed` replaces parts of its discovery document."""
        document = {
            "token_endpoint": f"{self.url}/{tenant_id}/oauth2/v2.0/token",
            "authorization_endpoint": f"{self.url}/{tenant_id}/oauth2/v2.0/authorize",
            "issuer": f"{self.url}/{tenant_id}/v2.0",
        }
        self.answers[f"/{tenant_id}/v2.0/.well-known/openid-configuration"] = Answer(document | changed)
        token = {"token_type": "Bearer", "expires_in": 3599, "access_token": "an-access-token"}
        self.answers[f"/{tenant_id}/oauth2/v2.0/token"] = Answer(token)


class _Counting(ThreadingHTTPServer):
    """Counts connections before anything of them is read, also those whose TLS never comes about."""

    daemon_threads = True
    stranger: Stranger

    def get_request(self) -> tuple[Any, Any]:
        found = super().get_request()
        self.stranger.connections += 1
        return found

    def handle_error(self, *_: object) -> None:
        """A broken handshake is counted already."""


@contextmanager
def lying_graph(folder: Path) -> Iterator[LyingGraph]:
    """Serve until the end of the block."""
    authority = trustme.CA()
    ca_file = folder / "lying-graph.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*NAMES).configure_cert(context)
    strangers = []

    class Catching(_Quiet):
        def _answer(self) -> None:
            server: Any = self.server
            server.stranger.received.append(str(self.headers))
            self._send(Answer({"value": [], "@odata.deltaLink": "https://stranger.example/"}))

    class Lying(_Quiet):
        def _answer(self) -> None:
            graph.asked.append(self.path)
            self._send(graph.answers.get(self.path.partition("?")[0], Answer({"error": {"code": "none"}}, 404)))

    servers: list[ThreadingHTTPServer] = []
    for secure in (True, False):
        catching = _Counting(("127.0.0.1", 0), Catching)
        catching.stranger = Stranger(catching.server_address[1])
        strangers.append(catching.stranger)
        if secure:
            catching.socket = context.wrap_socket(catching.socket, server_side=True, do_handshake_on_connect=False)
        servers.append(catching)
    lying = ThreadingHTTPServer(("127.0.0.1", 0), Lying)
    lying.daemon_threads = True
    lying.socket = context.wrap_socket(lying.socket, server_side=True, do_handshake_on_connect=False)
    servers.append(lying)
    graph = LyingGraph(lying.server_address[1], ca_file, strangers[0], strangers[1])
    threads = [threading.Thread(target=one.serve_forever, args=(0.02,)) for one in servers]
    for thread in threads:
        thread.start()
    try:
        yield graph
    finally:
        for server in servers:
            server.shutdown()
        for thread in threads:
            thread.join()
        for server in servers:
            server.server_close()


class _Quiet(BaseHTTPRequestHandler):
    """Hands each request to `_answer` with its body read."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer()

    def _answer(self) -> None:
        raise NotImplementedError

    def _send(self, answer: Answer) -> None:
        body = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: pytest's output is for failures."""
