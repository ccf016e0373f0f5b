"""What the security tests attack: the webhook as a process, and the whole system with a simulated directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.local.runs import Run
from deploy.local.system import System
from tests.support.webhook_process import Authority, Webhook, make_authority, running_webhook
from tests.support.whole_system import IMPATIENT

StartWebhook = Callable[..., Webhook]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def start_webhook(authority: Authority, tmp_path: Path) -> Iterator[StartWebhook]:
    """Start a webhook with an address of a broker and further settings; it ends with the test."""
    with ExitStack() as stack:
        yield lambda url, **settings: stack.enter_context(running_webhook(authority, tmp_path, url, **settings))


@pytest.fixture
def system(tmp_path: Path, amqp_url: str, sqlite_url: str) -> Iterator[System]:
    """The whole system, nothing of it started yet; what the test starts ends with the test."""
    with Run.claim("system", var=tmp_path) as run:
        yield System(run, amqp_url, sqlite_url, IMPATIENT)
