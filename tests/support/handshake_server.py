"""An https server in the place of the webhook or of Microsoft: it answers well, or in one of the ways to go wrong."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


@dataclass
class HandshakeServer:
    """Repeats the token unless `body` says otherwise; `asked` are the method and path of each request."""

    url: str
    status: int = 200
    content_type: str = "text/plain"
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    clock_ahead: timedelta = timedelta()
    silent: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def handshake_server(certificate: Path | None, key: Path | None = None) -> Iterator[HandshakeServer]:
    """Listen on a loopback port; without a `certificate` it speaks plain http."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((datetime.now(UTC) + found.clock_ahead).timestamp())

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest's output is for failures."""

        def _answer(self) -> None:
            address = urlsplit(self.path)
            found.asked.append((self.command, address.path))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if found.silent:
                found.released.wait()
            token = parse_qs(address.query).get("validationToken", [""])[0].encode()
            body = token if found.body is None else found.body
            self.send_response(found.status)
            for name, value in {"Content-Type": found.content_type, **found.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = _Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    found = HandshakeServer(f"https://localhost:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        found.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that went away, or found the certificate wanting: they are tested."""
