"""The fault proxy does to a connection exactly what it says, and counts only what it did."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.eventually import eventually
from tests.support.fault_proxy import Address, FaultProxy, through

PATIENCE_SECONDS = 30


class Upstream:
    """Answers each connection with its own name and then, unless it is mute, with what it is sent."""

    def __init__(self, name: bytes, *, is_mute: bool = False) -> None:
        self.received = b""
        self.endings: list[str] = []
        self._name = name
        self._is_mute = is_mute
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: Address = self._listener.getsockname()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(self._name)
                while chunk := connection.recv(65_536):
                    self.received += chunk
                    if not self._is_mute:
                        connection.sendall(chunk)
            except ConnectionError:
                self.endings.append("reset")
            else:
                self.endings.append("closed")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream(b"a")
    yield upstream
    upstream.close()


@pytest.fixture
def proxy(upstream: Upstream) -> Iterator[FaultProxy]:
    with FaultProxy(upstream.address) as proxy:
        yield proxy


def connected(proxy: FaultProxy) -> socket.socket:
    client = socket.create_connection(proxy.address, timeout=PATIENCE_SECONDS)
    assert client.recv(1) == b"a"
    return client


def received(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (chunk := client.recv(size - len(found))):
        found += chunk
    return found


def is_reset(client: socket.socket) -> bool:
    """Whether the next that comes is a reset; an orderly end or further bytes are none."""
    try:
        client.recv(1)
    except ConnectionResetError:
        return True
    return False


def is_refused(proxy: FaultProxy) -> bool:
    """Whether a new connection is reset before anything came over it, be it while it is made."""
    try:
        with socket.create_connection(proxy.address, timeout=PATIENCE_SECONDS) as client:
            return is_reset(client)
    except ConnectionResetError:
        return True


def test_it_passes_bytes_and_the_end_of_a_connection_and_counts_both_ways(
    proxy: FaultProxy, upstream: Upstream
) -> None:
    message = bytes(range(256)) * 4096
    with connected(proxy) as client:
        sending = threading.Thread(target=client.sendall, args=(message,))
        sending.start()
        assert received(client, len(message)) == message
        sending.join(PATIENCE_SECONDS)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert proxy.bytes_moved == {"up": len(message), "down": len(message) + 1}
    eventually(lambda: upstream.endings == ["closed"])
    assert (proxy.connections, proxy.fired) == (1, {})


def test_a_cut_resets_both_sides_and_refuses_until_it_is_restored(proxy: FaultProxy, upstream: Upstream) -> None:
    with connected(proxy) as client, proxy.firing("cut"):
        proxy.cut()
        assert is_reset(client)
    eventually(lambda: upstream.endings == ["reset"])
    with proxy.firing("refused"):
        assert is_refused(proxy)
    proxy.restore()
    connected(proxy).close()
    assert proxy.fired == {"cut": 1, "refused": 1}


def test_a_cut_resets_also_those_who_have_just_come(proxy: FaultProxy) -> None:
    for _ in range(20):
        clients = [socket.create_connection(proxy.address, timeout=PATIENCE_SECONDS) for _ in range(10)]
        proxy.cut()
        for client in clients:
            with client:
                assert is_reset(client) or is_reset(client)  # its upstream may have said a byte before
        proxy.restore()


def test_a_cut_without_connections_has_not_fired(proxy: FaultProxy) -> None:
    proxy.cut()
    proxy.restore()
    with pytest.raises(AssertionError, match="'cut' hit no connection"), proxy.firing("cut"):
        proxy.cut()
    assert proxy.fired["cut"] == 0


def test_a_stall_keeps_connections_and_moves_nothing_until_it_is_restored(
    proxy: FaultProxy, upstream: Upstream
) -> None:
    with connected(proxy) as client, proxy.firing("stall"):
        proxy.stall()
        client.sendall(b"held")
        with socket.create_connection(proxy.address, timeout=PATIENCE_SECONDS) as late:
            eventually(lambda: proxy.fired["stall"] == 2)  # the upstream's first word to the second client waits too
            assert upstream.received == b""
            proxy.restore()
            assert received(client, 4) == b"held"
            assert received(late, 1) == b"a"


def test_a_stall_that_nobody_noticed_has_not_fired(proxy: FaultProxy) -> None:
    with connected(proxy):
        proxy.stall()
        proxy.restore()
    assert proxy.fired["stall"] == 0


def test_a_slow_connection_goes_on_at_full_speed_when_it_is_restored(proxy: FaultProxy) -> None:
    message = b"x" * 100_000
    with connected(proxy) as client, proxy.firing("slow"):
        proxy.slow(100)
        client.sendall(message)
        assert received(client, 10) == message[:10]
        assert proxy.bytes_moved["up"] < len(message)  # 100 kB would take a quarter of an hour
        proxy.restore()
        assert received(client, len(message) - 10) == message[10:]


@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_the_next_connection_dies_after_exactly_so_many_bytes(size: int) -> None:
    mute = Upstream(b"a", is_mute=True)
    with FaultProxy(mute.address) as proxy, proxy.firing("cut_after"):
        proxy.cut_after(size)
        with connected(proxy) as client, connected(proxy) as other:
            with suppress(ConnectionError):  # the reset may come before all is sent
                client.sendall(b"x" * 100_000)
            eventually(lambda: mute.endings == ["reset"])
            assert len(mute.received) == size
            other.sendall(b"untouched")
            eventually(lambda: mute.received[size:] == b"untouched")
    mute.close()


def test_the_next_connection_dies_after_so_many_bytes_of_the_answer(proxy: FaultProxy, upstream: Upstream) -> None:
    proxy.cut_after(5, "down")
    with connected(proxy) as client, proxy.firing("cut_after"):
        client.sendall(b"123456789")
        assert received(client, 4) == b"1234"
        assert is_reset(client)
    assert upstream.received == b"123456789"


def test_a_connection_is_cut_before_a_needle_arrives_also_if_it_comes_in_two_reads(
    proxy: FaultProxy, upstream: Upstream
) -> None:
    with connected(proxy) as client, proxy.firing("cut_before"):
        proxy.cut_before(b"COMMIT")
        client.sendall(b"BEGIN COM")
        assert received(client, 9) == b"BEGIN COM"
        client.sendall(b"MIT")
        assert is_reset(client)
    assert upstream.received == b"BEGIN COM"


def test_the_answer_to_a_needle_is_lost_after_the_needle_arrived(proxy: FaultProxy, upstream: Upstream) -> None:
    with connected(proxy) as client, proxy.firing("lost_answer"):
        proxy.lose_answer_to(b"COMMIT")
        client.sendall(b"COMMIT")
        assert is_reset(client)
    assert upstream.received == b"COMMIT"


def test_restoring_ends_the_faults_that_did_not_happen_yet(proxy: FaultProxy) -> None:
    proxy.cut_after(3)
    with connected(proxy) as client:
        proxy.lose_answer_to(b"x")
        proxy.restore()
        client.sendall(b"xxxxxx")
        assert received(client, 6) == b"xxxxxx"
    assert proxy.fired == {}


def test_several_upstreams_take_turns_and_the_next_one_comes_when_one_refuses(upstream: Upstream) -> None:
    other = Upstream(b"b")

    def name_of(proxy: FaultProxy) -> bytes:
        with socket.create_connection(proxy.address, timeout=PATIENCE_SECONDS) as client:
            return client.recv(1)

    with FaultProxy(upstream.address, other.address) as proxy:
        assert [name_of(proxy) for _ in range(4)] == [b"a", b"b", b"a", b"b"]
        other.close()
        assert [name_of(proxy) for _ in range(4)] == [b"a"] * 4
        assert proxy.unreachable == 0


def test_without_any_upstream_a_client_is_reset_and_no_fault_is_counted(unused_port: int) -> None:
    with FaultProxy(("127.0.0.1", unused_port)) as proxy:
        assert is_refused(proxy)
        assert (proxy.unreachable, proxy.fired) == (1, {})


def test_an_address_is_led_through_the_proxy_with_everything_else_as_it_was(proxy: FaultProxy) -> None:
    port = proxy.address[1]
    assert through(proxy, "amqp://u:p%40@broker:5672/a%2Fb?x=1") == f"amqp://u:p%40@127.0.0.1:{port}/a%2Fb?x=1"
    assert through(proxy, "postgresql+psycopg://db/name") == f"postgresql+psycopg://127.0.0.1:{port}/name"
