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
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

from tests.support.fault_link import Direction, Fault, Fuse, Link, Needle, Orders

Address = tuple[str, int]
Result = TypeVar("Result")

_CONNECT_SECONDS = 5.0
_CALL_SECONDS = 30.0


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


class FaultProxy:
    """Use as a context manager; `address` is where clients connect.

    Several upstreams are taken in turn, and the next one when one refuses: a load balancer. All methods may be called
    from any thread, and have taken effect when they return.
    """

    def __init__(self, *upstreams: Address) -> None:
        self.connections = 0
        self.unreachable = 0  # clients that were reset because no upstream took the connection
        self._upstreams = upstreams
        self._turn = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self.address: Address = self._listener.getsockname()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._fuse: Fuse | None = None
        self._orders = Orders()

    def __enter__(self) -> Self:
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
    def fired(self) -> Counter[Fault]:
        """How often each fault hit a connection."""
        return self._orders.fired

    @property
    def bytes_moved(self) -> Counter[Direction]:
        return self._orders.bytes_moved

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
            self._fuse = self._orders.needle = None
            for link in self._links:
                link.disarm()
            self._orders.replace()

        self._do(change)

    def cut_after(self, n_bytes: int, direction: Direction = "up") -> None:
        """Let the next connection die after exactly `n_bytes` in that direction; only the next one."""
        self._fuse = (direction, n_bytes)

    def cut_before(self, needle: bytes) -> None:
        """Reset the first connection whose client sends `needle`, which never arrives."""
        self._orders.needle = Needle("cut_before", needle)

    def lose_answer_to(self, needle: bytes) -> None:
        """Pass `needle` on, and reset its connection when the upstream answers: done, and the client cannot know."""
        self._orders.needle = Needle("lost_answer", needle)

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
            self._orders.replace(**manner)

        self._do(change)

    async def _cut(self) -> None:
        self._orders.replace(is_cut=True)
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
            link = Link(self._orders, client, self._connect, self._fuse)
            self._fuse = None
            self._links[link] = task = self._loop.create_task(link.run())
            task.add_done_callback(functools.partial(self._forget, link))

    def _forget(self, link: Link, _: asyncio.Task[None]) -> None:
        del self._links[link]
        link.reset()  # one that was cancelled before it began could not do so itself

    async def _connect(self) -> socket.socket:
        start = next(self._turn)
        for number in range(len(self._upstreams)):
            upstream = socket.socket()
            upstream.setblocking(False)
            try:
                address = self._upstreams[(start + number) % len(self._upstreams)]
                async with asyncio.timeout(_CONNECT_SECONDS):  # `wait_for` of Python 3.11 may swallow a cancellation
                    await self._loop.sock_connect(upstream, address)
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
