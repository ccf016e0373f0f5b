"""Ports where nobody is, or nobody speaks."""

import logging
import socket
from collections.abc import Iterator

import pytest

from deploy.local.ports import Reservation
from tests.support import database


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


@pytest.fixture(autouse=True)
def _quiet_pika() -> None:
    """Keep pika's own account of every lost connection out of the report, as the processes do (`common.logging`)."""
    logging.getLogger("pika").setLevel(logging.CRITICAL)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """As `database_url`, for all tests of a module: to make one for each takes longer than most of them.

    See `tests.support.book.lent_book`.
    """
    if request.param == "sqlite":
        template = request.getfixturevalue("_sqlite_template")
        yield database.copied_sqlite(template, tmp_path_factory.mktemp("shared"))
        return
    cluster = request.getfixturevalue("postgres_server")
    with database.postgres_database(cluster, request.getfixturevalue("_postgresql_template")) as name:
        yield cluster.url_of(name)
