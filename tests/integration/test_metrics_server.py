"""The small server for those who watch a process: where it listens, and what it does with those who are silent."""

import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import requests

from common import metrics_server
from common.config import load
from common.errors import SettingsError
from common.metrics_server import MetricsServer, serve
from deploy.local.ports import Reservation

StartResponse = Callable[..., Any]


def hello(_environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def failing(_environ: dict[str, Any], _start_response: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("a defect")


@pytest.fixture
def port() -> Iterator[int]:
    with Reservation(1) as reservation:
        yield reservation.ports[0]


@pytest.fixture
def server(port: int) -> Iterator[MetricsServer]:
    found = serve(load({"ENTRA_SMS_METRICS_BIND": f"127.0.0.1:{port}"}), hello)
    assert found is not None
    yield found
    found.close()


def test_without_the_setting_there_is_none() -> None:
    assert serve(load({}), hello) is None


def test_it_answers_where_the_setting_says(server: MetricsServer, port: int) -> None:
    assert requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text == "hello"


def test_it_listens_on_an_address_of_ipv6(port: int) -> None:
    server = serve(load({"ENTRA_SMS_METRICS_BIND": f"[::1]:{port}"}), hello)
    assert server is not None
    try:
        assert requests.get(f"http://[::1]:{port}/", timeout=10).text == "hello"
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{port}/", timeout=10)
    finally:
        server.close()


def test_after_the_end_the_port_is_free_at_once(port: int) -> None:
    for _ in range(2):
        server = serve(load({"ENTRA_SMS_METRICS_BIND": f"127.0.0.1:{port}"}), hello)
        assert server is not None
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).ok
        server.close()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/", timeout=10)


def test_a_port_that_is_taken_is_said_in_a_sentence(server: MetricsServer, port: int) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1, port {port}: Address already in use"):
        MetricsServer(f"127.0.0.1:{port}", hello)


def test_an_address_of_another_machine_is_said_in_a_sentence(port: int) -> None:
    with pytest.raises(SettingsError, match=r"ENTRA_SMS_METRICS_BIND: cannot listen on 192\.0\.2\.1"):
        MetricsServer(f"192.0.2.1:{port}", hello)


def test_who_says_nothing_is_cut_off(
    server: MetricsServer, port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metrics_server, "REQUEST_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as silent:
        silent.sendall(b"GET /metr")
        assert silent.recv(100) == b""
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).ok
    assert "Traceback" not in capfd.readouterr().err


def test_a_defect_is_an_error_for_the_one_who_met_it(port: int) -> None:
    server = MetricsServer(f"127.0.0.1:{port}", failing)
    server.start()
    try:
        assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).status_code == 500
    finally:
        server.close()
