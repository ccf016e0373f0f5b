"""Ports: nobody gets one that is used or promised to another."""

import socket
from collections.abc import Iterator

import pytest

from deploy.local.errors import LocalServiceError
from deploy.local.ports import FIRST, LAST, Reservation


def draws(*ports: int) -> Iterator[int]:
    yield from ports


@pytest.fixture
def free() -> int:
    with Reservation(1) as reservation:
        return reservation.ports[0]


def test_ports_are_below_the_ephemeral_range_and_differ() -> None:
    with Reservation(20) as reservation:
        assert len(set(reservation.ports)) == 20
        assert all(FIRST <= port <= LAST < 32768 for port in reservation.ports)


def test_a_promised_port_is_not_promised_again(free: int) -> None:
    with Reservation(2) as first, Reservation(1, draw=draws(first.ports[0], first.ports[1], free).__next__) as second:
        assert second.ports == [free]


def test_a_released_port_is_promised_again(free: int) -> None:
    for _ in range(2):
        with Reservation(1, draw=draws(free).__next__) as reservation:
            assert reservation.ports == [free]


@pytest.mark.parametrize("address", ["127.0.0.1", "", "::1"])
def test_a_port_that_somebody_uses_is_passed_over(free: int, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as used:
        used.bind((address, 0))
        used.listen()
        taken = used.getsockname()[1]
        with Reservation(1, draw=draws(taken, free).__next__) as reservation:
            assert reservation.ports == [free]


def test_without_a_free_port_there_is_a_sentence(free: int) -> None:
    with (
        Reservation(1, draw=draws(free).__next__),
        pytest.raises(LocalServiceError, match="No 1 free ports were found"),
    ):
        Reservation(1, draw=lambda: free)
