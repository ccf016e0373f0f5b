"""An https server that keeps the bytes of each request as they came over the wire."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import trustme


@dataclass
class HttpsListener:
    """Answers every request with `body`; `targets` are the requested paths, byte for byte."""

    url: str
    ca_file: Path
    body: bytes = b"{}"
    targets: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def https_listener(folder: Path) -> Iterator[HttpsListener]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listener.targets.append(self.requestline.split(" ")[1])
            listener.headers.append(dict(self.headers.items()))
            self.send_response(200)
            self.send_header("Content-Length", str(len(listener.body)))
            self.end_headers()
            self.wfile.write(listener.body)

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest's output is for failures."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    listener = HttpsListener(f"https://127.0.0.1:{server.server_address[1]}", folder / "ca.pem")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
