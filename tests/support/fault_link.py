"""One connection through the fault proxy: its bytes, and what the orders of the moment do to them.

Everything here runs on the proxy's own thread.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["up", "down"]
"""`up` is from the client to the upstream."""
Fault = Literal["cut", "refused", "stall", "slow", "cut_after", "cut_before", "lost_answer"]
Fuse = tuple[Direction, int]
Connect = Callable[[], Awaitable[socket.socket]]

_CHUNK_BYTES = 65_536
_PIECE_SECONDS = 0.05
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 s


@dataclass(frozen=True)
class Manner:
    """How bytes are passed on; replaced as a whole when it changes, so that each episode has a number of its own."""

    episode: int
    is_cut: bool = False
    is_stalled: bool = False
    bytes_per_second: float | None = None
    delay_seconds: float = 0.0

    @property
    def is_slow(self) -> bool:
        return self.bytes_per_second is not None or self.delay_seconds > 0


@dataclass(frozen=True, eq=False)
class Needle:
    """What to look for in the bytes of clients, and what then happens to the connection."""

    fault: Literal["cut_before", "lost_answer"]
    text: bytes


class Orders:
    """What holds for all connections of a proxy, and the counts of what came of it."""

    def __init__(self) -> None:
        self.bytes_moved: Counter[Direction] = Counter()
        self.fired: Counter[Fault] = Counter()
        self.needle: Needle | None = None
        self.manner = Manner(0)
        self.changed = asyncio.Event()

    def replace(self, **manner: Any) -> None:
        """Begin another episode, and let everybody look who waits for it."""
        self.manner = Manner(self.manner.episode + 1, **manner)
        self.changed.set()
        self.changed = asyncio.Event()


class Link:
    """One client's connection with the upstream's, and a task for each direction."""

    def __init__(self, orders: Orders, client: socket.socket, connect: Connect, fuse: Fuse | None) -> None:
        self._orders = orders
        self._connect = connect
        self._sockets = [client]
        self._fuse = fuse
        self._moved: Counter[Direction] = Counter()
        self._hit_in: set[int] = set()
        self._needle: Needle | None = None
        self._tail = b""  # of what the client sent: a needle may come in two reads
        self._loses_answer = False
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def disarm(self) -> None:
        self._fuse, self._loses_answer = None, False

    async def run(self) -> None:
        [client] = self._sockets
        try:
            if self._orders.manner.is_cut:
                self._orders.fired["refused"] += 1
                return
            upstream = await self._connect()
            self._sockets.append(upstream)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(client, upstream, "up"))
                pumps.create_task(self._pump(upstream, client, "down"))
        except* OSError:
            pass  # one side is gone, by itself or by a fault: so goes the other
        else:
            self._close(reset=False)
        finally:
            self.reset()

    def reset(self) -> None:
        """Reset both sides, if they are still there."""
        self._close(reset=True)

    def _close(self, *, reset: bool) -> None:
        while self._sockets:
            one = self._sockets.pop()
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            one.close()

    async def _pump(self, source: socket.socket, target: socket.socket, direction: Direction) -> None:
        loop = asyncio.get_running_loop()
        while chunk := await loop.sock_recv(source, _CHUNK_BYTES):
            if direction == "up":
                self._look_for_needle(chunk)
            elif self._loses_answer:
                self._die("lost_answer")
            while chunk:
                piece, chunk = await self._next_piece(chunk, direction)
                self._moved[direction] += len(piece)
                self._orders.bytes_moved[direction] += len(piece)
                await loop.sock_sendall(target, piece)
                if self._left_until_cut(direction) == 0:
                    self._die("cut_after")
        target.shutdown(socket.SHUT_WR)

    async def _next_piece(self, chunk: bytes, direction: Direction) -> tuple[bytes, bytes]:
        """Wait until bytes may go on, and split off how many."""
        size = len(chunk)
        while (manner := self._orders.manner).is_stalled:
            self._hit("stall", manner)
            await self._orders.changed.wait()
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
        needle = self._orders.needle
        if needle is not self._needle:
            self._needle, self._tail = needle, b""
        if needle is None:
            return
        sent = self._tail + chunk
        self._tail = sent[-len(needle.text) :]
        if needle.text not in sent:
            return
        self._orders.needle = None
        if needle.fault == "cut_before":
            self._die("cut_before")
        self._loses_answer = True

    def _hit(self, fault: Fault, manner: Manner) -> None:
        """Count a fault that lasts once for each connection that it holds up."""
        if manner.episode not in self._hit_in:
            self._hit_in.add(manner.episode)
            self._orders.fired[fault] += 1

    def _die(self, fault: Fault) -> None:
        self._orders.fired[fault] += 1
        raise ConnectionResetError
