"""Ports where nobody is, or nobody speaks; and a broker that may die."""

import logging
import socket
from collections.abc import Iterator

import pytest

from deploy.local.ports import Reservation
from tests.support import mortal_broker as mortal
from tests.support.mortal_broker import MortalBroker


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port on which nobody listens as long as the test runs."""
    with Reservation(1) as reservation:
        yield reservation.ports[0]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="session")
def _mortal_broker() -> Iterator[MortalBroker]:
    with mortal.mortal_broker() as broker:
        yield broker


@pytest.fixture
def mortal_broker(_mortal_broker: MortalBroker) -> Iterator[MortalBroker]:
    """A node of its own, alive; the test may kill it."""
    yield _mortal_broker
    if not _mortal_broker.broker.is_ready():
        _mortal_broker.revive()


@pytest.fixture(autouse=True)
def _quiet_pika() -> None:
    """Keep pika's own account of every lost connection out of the report, as the processes do (`common.logging`)."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)
