"""The real commands as processes: the webhook alone, with TLS and a broker that may die; and the whole system."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.local.ports import Reservation
from deploy.local.rabbitmq import PROCESSES
from deploy.local.runs import Run
from deploy.local.system import System
from tests.support.broker import Vhost
from tests.support.webhook_process import (
    Authority,
    Webhook,
    environment_for,
    make_authority,
    running_webhook,
    spawn,
)
from tests.support.whole_system import IMPATIENT

Start = Callable[..., Webhook]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def unused_amqp_url() -> Iterator[str]:
    """The address of a broker that is not there."""
    with Reservation(1) as reservation:
        yield f"amqp://guest:guest@127.0.0.1:{reservation.ports[0]}/%2F"


@pytest.fixture(scope="session")
def idle_webhook(
    authority: Authority, unused_amqp_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Webhook]:
    """One that has no broker, for the tests that need none and leave it as it was."""
    with running_webhook(authority, tmp_path_factory.mktemp("idle"), unused_amqp_url) as webhook:
        yield webhook


@pytest.fixture
def start_webhook(authority: Authority, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda url, **settings: stack.enter_context(running_webhook(authority, tmp_path, url, **settings))


@pytest.fixture
def ended_webhook(authority: Authority, tmp_path: Path) -> Iterator[Callable[..., tuple[int, str]]]:
    """Start one that cannot work: how it ended, and what it said."""
    with Reservation(2) as reservation:
        environment = environment_for(authority, tmp_path, *reservation.ports)

        def end(**settings: str) -> tuple[int, str]:
            log = tmp_path / "ended.log"
            process = spawn(environment | settings, log)
            try:
                return process.wait(60), log.read_text()
            finally:
                process.kill()

        yield end


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    """For tests that write to the socket themselves."""
    return ssl.create_default_context(cafile=str(authority.bundle))


@pytest.fixture
def system(tmp_path: Path, vhost: Vhost, database_url: str) -> Iterator[System]:
    """The whole system, nothing of it started yet; what the test starts ends with the test.

    Its processes have the account that they have in a deployment, and may do no more.
    """
    with Run.claim("system", var=tmp_path) as run:
        yield System(run, vhost.open_to(PROCESSES).amqp_url, database_url, IMPATIENT)
