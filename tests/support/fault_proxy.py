"""A TCP proxy on loopback that breaks connections on purpose, and counts what it broke.

It stands between a client and one or more upstreams, runs in the process of the test on a thread of its own, and passes
bytes through until told otherwise. A fault counts as fired only when it hit a connection that a client had: a test that
asks `firing` for it cannot pass without its fault.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

Address = tuple[str, int]
Direction = Literal["up", "down"]
"""`up` is from the client to the upstream."""
Fault = Literal["cut", "refused", "stall", "slow", "cut_after", "cut_before", "lost_answer"]
Result = TypeVar("Result")

_CHUNK_BYTES = 65_536
_CONNECT_SECONDS = 5.0
_PIECE_SECONDS = 0.05
_CALL_SECONDS = 30.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 s


def through(proxy: FaultProxy, url: str) -> str:
    """Return `url` (AMQP, PostgreSQL, https) with the host and port of `proxy`."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    host, port = proxy.address
    return urlunsplit(parts._replace(netloc=f"{login}{at}{host}:{port}"))


def address_of(url: str) -> Address:
    """Return the host and port that `url` names."""
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None:
        raise ValueError("an address with a host and a port is needed")
    return parts.hostname, parts.port


@dataclass
class _Manner:
    """How bytes are passed on; replaced as a whole when it changes, so that each episode has a number of its own."""

    episode: int
    is_cut: bool = False
    is_stalled: bool = False
    bytes_per_second: float | None = None
    delay_seconds: float = 0.0

    @property
    def is_slow(self) -> bool:
        return self.bytes_per_second is not None or self.delay_seconds > 0


@dataclass(eq=False)
class _Needle:
    """What to look for in the bytes of clients, and what then happens to the connection."""

    fault: Literal["cut_before", "lost_answer"]
    text: bytes


class FaultProxy:
    """Use as a context manager; `address` is where clients connect.

    Several upstreams are taken in turn, and the next one when one refuses: a load balancer. All methods may be called
    from any thread, and have taken effect when they return.
    """

    def __init__(self, *upstreams: Address) -> None:
        self.connections = 0
        self.unreachable = 0  # clients that were reset because no upstream took the connection
        self.bytes_moved: Counter[Direction] = Counter()
        self.fired: Counter[Fault] = Counter()
        self._upstreams = upstreams
        self._turn = itertools.count()
        self._episodes = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self.address: Address = self._listener.getsockname()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._fuse: tuple[Direction, int] | None = None
        self._needle: _Needle | None = None

    def __enter__(self) -> Self:
        self._changed = asyncio.Event()
        self._manner = _Manner(next(self._episodes))
        self._thread.start()
        self._accepting: asyncio.Task[None] = self._do(self._start)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_SECONDS)
        self._loop.close()
        self._listener.close()

    @property
    def open_connections(self) -> int:
        return len(self._links)

    def cut(self) -> None:
        """Reset all connections, and each new one as soon as it comes, until `restore`."""
        self._do(self._cut)

    def stall(self) -> None:
        """Keep and accept connections, and move not a byte, until `restore`; then all that waited arrives."""
        self._set(is_stalled=True)

    def slow(self, bytes_per_second: float | None = None, *, delay_seconds: float = 0.0) -> None:
        """Move at most so many bytes a second in each direction of each connection, each piece after a delay."""
        self._set(bytes_per_second=bytes_per_second, delay_seconds=delay_seconds)

    def restore(self) -> None:
        """End every fault, also those that are still to come."""

        async def change() -> None:
            self._fuse = self._needle = None
            for link in self._links:
                link.disarm()
            self._replace()

        self._do(change)

    def cut_after(self, n_bytes: int, direction: Direction = "up") -> None:
        """Let the next connection die after exactly `n_bytes` in that direction; only the next one."""
        self._fuse = (direction, n_bytes)

    def cut_before(self, needle: bytes) -> None:
        """Reset the first connection whose client sends `needle`, which never arrives."""
        self._needle = _Needle("cut_before", needle)

    def lose_answer_to(self, needle: bytes) -> None:
        """Pass `needle` on, and reset its connection when the upstream answers: done, and the client cannot know."""
        self._needle = _Needle("lost_answer", needle)

    @contextmanager
    def firing(self, fault: Fault) -> Iterator[None]:
        """Fail at the end of the block unless a fault of this kind hit a connection within it."""
        before = self.fired[fault]
        yield
        if self.fired[fault] == before:
            raise AssertionError(f"The fault {fault!r} hit no connection; fired so far: {dict(self.fired)}")

    # From here on everything runs on the proxy's own thread.

    def _do(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(_CALL_SECONDS)

    async def _start(self) -> asyncio.Task[None]:
        return self._loop.create_task(self._accept())

    async def _stop(self) -> None:
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        await self._reset_all()

    def _set(self, **manner: Any) -> None:
        async def change() -> None:
            self._replace(**manner)

        self._do(change)

    def _replace(self, **manner: Any) -> None:
        self._manner = _Manner(next(self._episodes), **manner)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _cut(self) -> None:
        self._replace(is_cut=True)
        self.fired["cut"] += len(self._links)
        await self._reset_all()

    async def _reset_all(self) -> None:
        tasks = list(self._links.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self.connections += 1
            link = _Link(self, client, self._fuse)
            self._fuse = None
            self._links[link] = task = self._loop.create_task(link.run())
            task.add_done_callback(functools.partial(self._forget, link))

    def _forget(self, link: _Link, _: asyncio.Task[None]) -> None:
        del self._links[link]

    async def _connect(self) -> socket.socket:
        start = next(self._turn)
        for number in range(len(self._upstreams)):
            upstream = socket.socket()
            upstream.setblocking(False)
            try:
                address = self._upstreams[(start + number) % len(self._upstreams)]
                await asyncio.wait_for(self._loop.sock_connect(upstream, address), _CONNECT_SECONDS)
            except (OSError, TimeoutError):
                upstream.close()
            except BaseException:
                upstream.close()
                raise
            else:
                upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return upstream
        self.unreachable += 1
        raise ConnectionRefusedError


class _Link:
    """One client's connection with the upstream's, and a task for each direction."""

    def __init__(self, proxy: FaultProxy, client: socket.socket, fuse: tuple[Direction, int] | None) -> None:
        self._proxy = proxy
        self._client = client
        self._fuse = fuse
        self._moved: Counter[Direction] = Counter()
        self._hit_in: set[int] = set()
        self._needle: _Needle | None = None
        self._tail = b""  # of what the client sent: a needle may come in two reads
        self._loses_answer = False
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def disarm(self) -> None:
        self._fuse, self._loses_answer = None, False

    async def run(self) -> None:
        sockets = [self._client]
        orderly = False
        try:
            if self._proxy._manner.is_cut:
                self._proxy.fired["refused"] += 1
                return
            sockets.append(upstream := await self._proxy._connect())
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(self._client, upstream, "up"))
                pumps.create_task(self._pump(upstream, self._client, "down"))
            orderly = True
        except* OSError:
            pass  # one side is gone, by itself or by a fault: so goes the other
        finally:
            for one in sockets:
                if not orderly:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                one.close()

    async def _pump(self, source: socket.socket, target: socket.socket, direction: Direction) -> None:
        loop = self._proxy._loop
        while chunk := await loop.sock_recv(source, _CHUNK_BYTES):
            if direction == "up":
                self._look_for_needle(chunk)
            elif self._loses_answer:
                self._die("lost_answer")
            while chunk:
                piece, chunk = await self._next_piece(chunk, direction)
                self._moved[direction] += len(piece)
                self._proxy.bytes_moved[direction] += len(piece)
                await loop.sock_sendall(target, piece)
                if self._left_until_cut(direction) == 0:
                    self._die("cut_after")
        target.shutdown(socket.SHUT_WR)

    async def _next_piece(self, chunk: bytes, direction: Direction) -> tuple[bytes, bytes]:
        """Wait until bytes may go on, and split off how many."""
        size = len(chunk)
        while (manner := self._proxy._manner).is_stalled:
            self._hit("stall", manner)
            await self._proxy._changed.wait()
        if manner.is_slow:
            self._hit("slow", manner)
            seconds = manner.delay_seconds
            if manner.bytes_per_second is not None:
                size = min(size, max(1, int(manner.bytes_per_second * _PIECE_SECONDS)))
                seconds += size / manner.bytes_per_second
            await asyncio.sleep(seconds)
        left = self._left_until_cut(direction)
        size = size if left is None else min(size, left)
        return chunk[:size], chunk[size:]

    def _left_until_cut(self, direction: Direction) -> int | None:
        if self._fuse is None or self._fuse[0] != direction:
            return None
        return self._fuse[1] - self._moved[direction]

    def _look_for_needle(self, chunk: bytes) -> None:
        needle = self._proxy._needle
        if needle is not self._needle:
            self._needle, self._tail = needle, b""
        if needle is None:
            return
        sent = self._tail + chunk
        self._tail = sent[-len(needle.text) :]
        if needle.text not in sent:
            return
        self._proxy._needle = None
        if needle.fault == "cut_before":
            self._die("cut_before")
        self._loses_answer = True

    def _hit(self, fault: Fault, manner: _Manner) -> None:
        """Count a fault that lasts once for each connection that it holds up."""
        if manner.episode not in self._hit_in:
            self._hit_in.add(manner.episode)
            self._proxy.fired[fault] += 1

    def _die(self, fault: Fault) -> None:
        self._proxy.fired[fault] += 1
        raise ConnectionResetError
