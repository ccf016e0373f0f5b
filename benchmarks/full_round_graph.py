"""`python -m benchmarks.full_round_graph`: serves ready-made pages over TLS, and answers each request after a while.

So cheap that it is no part of what is measured: it looks a page up and sends it as it lies in the file. Prints one line
when it listens. A request for `/latency/20` lets it wait 20 ms before each answer from then on.
"""

from __future__ import annotations

import asyncio
import mmap
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
import orjson

from benchmarks.full_round_company import Pages, last_page, page_number
from common.messages import Stream

READY = "ready"


@dataclass
class Graph:
    """Answers requests for pages, and for the access token before them."""

    pages: Pages
    bodies: mmap.mmap
    origin: str
    latency_seconds: float = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it is closed."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next(
                    (int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:")), 0
                )
                await reader.readexactly(length)
                body, is_page = self._answer(head.split(" ", 2)[1])
                if is_page and self.latency_seconds:
                    await asyncio.sleep(self.latency_seconds)
                coding = "Content-Encoding: gzip\r\n" if is_page else ""
                head = (
                    f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{coding}Content-Length: {len(body)}\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            writer.close()

    def _answer(self, target: str) -> tuple[bytes, bool]:
        """Return the body, and whether it is a page (which is compressed)."""
        parts = urlsplit(target)
        if parts.path.startswith("/latency/"):
            self.latency_seconds = float(parts.path.rpartition("/")[2]) / 1000
            return b"{}", False
        if parts.path.endswith("/openid-configuration"):
            here = f"{self.origin}/oauth2/v2.0"
            return orjson.dumps(
                {"authorization_endpoint": f"{here}/authorize", "token_endpoint": f"{here}/token"}
            ), False
        if parts.path.endswith("/token"):
            return orjson.dumps({"access_token": "benchmark", "expires_in": 86_400, "token_type": "Bearer"}), False
        stream = Stream(parts.path.split("/")[2])
        number = page_number(parts.query)
        if number is None:
            return last_page(stream, self.origin), True
        at, length = self.pages.places[stream][number]
        return self.bodies[at : at + length], True


async def _run(index: Path, port: int, certificate: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    pages = Pages.load(index)
    with pages.file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as bodies:
        graph = Graph(pages, bodies, f"https://localhost:{port}")
        async with await asyncio.start_server(graph.serve, "127.0.0.1", port, ssl=context) as server:
            print(READY, flush=True)
            await server.serve_forever()


@click.command()
@click.option("--index", type=click.Path(path_type=Path), required=True)
@click.option("--port", type=int, required=True)
@click.option("--certificate", type=click.Path(path_type=Path), required=True)
@click.option("--key", type=click.Path(path_type=Path), required=True)
def main(index: Path, port: int, certificate: Path, key: Path) -> None:
    """Serve the pages that `index` describes until the process is ended."""
    asyncio.run(_run(index, port, certificate, key))


if __name__ == "__main__":
    main()
