"""`python -m benchmarks.asked_graph`: a Graph of many tenants that answers only what is asked, over TLS.

A directory is not held: what has changed in it is announced by POST to `/changes`, and the next request for delta that
carries an older token gets it. So it costs the same whatever the size of the directory. An access token is the id of
its tenant. Full rounds get the ready-made pages of one company, if there are some. Prints one line when it listens.
"""

from __future__ import annotations

import asyncio
import mmap
import ssl
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import orjson

from benchmarks.full_round_company import TOKEN_CHARACTERS, Pages, page_number
from common.messages import Stream

READY = "ready"
PADDING = "x7Kq" * (TOKEN_CHARACTERS // 4)
"""Graph's links are long."""


def delta_link(origin: str, stream: Stream, position: int) -> str:
    """Return the deltaLink of who has been told the first `position` changes of a stream."""
    return f"{origin}/v1.0/{stream}/delta?$deltatoken={PADDING}.{position}"


@dataclass
class Graph:
    """The changes of each stream, and counts of what was asked."""

    origin: str
    pages: Pages | None
    bodies: mmap.mmap | None
    latency_seconds: float = 0.0
    changes: dict[tuple[str, str], list[Any]] = field(default_factory=lambda: defaultdict(list))
    asked: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it is closed."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                target = head.split(" ", 2)[1]
                headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if target.startswith("/v1.0/") and self.latency_seconds:
                    await asyncio.sleep(self.latency_seconds)
                answer, coding = self._answer(target, headers.get("authorization", "")[7:], body)
                start = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{coding}Content-Length: {len(answer)}"
                writer.write(f"{start}\r\n\r\n".encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            writer.close()

    def _answer(self, target: str, tenant_id: str, body: bytes) -> tuple[bytes, str]:
        """Return the body, and the header that says how it is compressed."""
        parts = urlsplit(target)
        _, first, *rest = parts.path.split("/")
        if first == "v1.0":
            return self._graph(rest[0], tenant_id, parts.query)
        if first == "changes":
            for change in orjson.loads(body):
                self.changes[change["tenant_id"], change["stream"]].append(change["entry"])
            return b"{}", ""
        if first == "latency":
            self.latency_seconds = float(parse_qs(parts.query)["ms"][0]) / 1000
            return b"{}", ""
        if first == "asked":
            return orjson.dumps(self.asked), ""
        if rest[-1] == "openid-configuration":
            here = f"{self.origin}/{first}/oauth2/v2.0"
            found = {"authorization_endpoint": f"{here}/authorize", "token_endpoint": f"{here}/token"}
            return orjson.dumps(found), ""
        return orjson.dumps({"access_token": first, "expires_in": 86_400, "token_type": "Bearer"}), ""

    def _graph(self, what: str, tenant_id: str, query: str) -> tuple[bytes, str]:
        self.asked[what] += 1
        if what not in tuple(Stream):
            return b'{"value":[]}', ""
        stream = Stream(what)
        changes = self.changes[tenant_id, stream]
        if "$deltatoken=" in query:
            found = changes[int(query.rpartition(".")[2]) :]
            return orjson.dumps({"value": found, "@odata.deltaLink": self._link(stream, len(changes))}), ""
        if self.pages is None or self.bodies is None:
            return orjson.dumps({"value": [], "@odata.deltaLink": self._link(stream, 0)}), ""
        at, length = self.pages.places[stream][page_number(query) or 0]
        return self.bodies[at : at + length], "Content-Encoding: gzip\r\n"

    def _link(self, stream: Stream, position: int) -> str:
        return delta_link(self.origin, stream, position)


async def _run(graph: Graph, port: int, certificate: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with await asyncio.start_server(graph.serve, "127.0.0.1", port, ssl=context) as server:
        print(READY, flush=True)
        await server.serve_forever()


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--certificate", type=click.Path(path_type=Path), required=True)
@click.option("--key", type=click.Path(path_type=Path), required=True)
@click.option(
    "--index", type=click.Path(path_type=Path), help="Of the pages that full rounds get; else they are empty."
)
def main(port: int, certificate: Path, key: Path, index: Path | None) -> None:
    """Serve until the process is ended."""
    with ExitStack() as exits:
        pages = Pages.load(index) if index else None
        bodies = None
        if pages is not None:
            file = exits.enter_context(pages.file.open("rb"))
            bodies = exits.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        asyncio.run(_run(Graph(f"https://localhost:{port}", pages, bodies), port, certificate, key))


if __name__ == "__main__":
    main()
