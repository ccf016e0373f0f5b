"""What all tests share: a scrubbed environment, a private RabbitMQ node and a private PostgreSQL cluster.

The services start when the first test asks for them and end with the session. That they cannot be had is an error that
says what to do, never a skip.
"""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import broker, packages, postgres
from deploy.local.broker import Broker
from deploy.local.postgres import Cluster
from deploy.local.runs import Run
from tests.support import database
from tests.support import mortal_broker as mortal
from tests.support.broker import Vhost, Vhosts, vhosts_of
from tests.support.mortal_broker import MortalBroker

_SCRUBBED = re.compile(
    r"ENTRA_SMS_.*|(REQUESTS|CURL)_CA_BUNDLE|SSL_CERT_(FILE|DIR)|(HTTPS?|ALL|NO|FTP)_PROXY", re.IGNORECASE
)
_given = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Take away what would reach into the tests from the developer's shell, before any test module is imported."""
    names = [name for name in os.environ if _SCRUBBED.fullmatch(name)]
    config.stash[_given] = {name: os.environ.pop(name) for name in names}
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # A shell script's background job ignores Ctrl-C, and so would every process that a test starts and interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def local_run() -> Iterator[Run]:
    """The folder `var/test` with its lock; a second session in the same clone takes `var/test-2`."""
    with Run.claim("test", several=True) as run:
        yield run


@pytest.fixture(scope="session")
def rabbitmq(local_run: Run, pytestconfig: pytest.Config) -> Broker:
    """A private node, or the broker that ENTRA_SMS_AMQP_URL names; ask for `amqp_url` or `vhost` rather than this."""
    return broker.start(local_run, fresh=True, environ=pytestconfig.stash[_given])


@pytest.fixture(scope="session")
def vhosts(rabbitmq: Broker) -> Iterator[Vhosts]:
    with vhosts_of(rabbitmq) as vhosts:
        yield vhosts


@pytest.fixture
def vhost(vhosts: Vhosts, request: pytest.FixtureRequest) -> Iterator[Vhost]:
    """A fresh vhost of this test alone."""
    with vhosts.lent(request.node.name) as vhost:
        yield vhost


@pytest.fixture
def amqp_url(vhost: Vhost) -> str:
    """The address of a fresh vhost of this test alone."""
    return vhost.url


@pytest.fixture(scope="session")
def postgres_server(local_run: Run) -> Cluster:
    return postgres.start(local_run, fresh=True)


@pytest.fixture(scope="session")
def _postgresql_template(postgres_server: Cluster) -> Iterator[str]:
    from common.db.migrations import upgrade

    with database.postgres_database(postgres_server) as name:
        upgrade(postgres_server.url_of(name))
        yield name


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from common.db.migrations import upgrade

    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite"
    upgrade(database.sqlite_url(path))
    return path


@pytest.fixture
def postgresql_url(postgres_server: Cluster, _postgresql_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database of this test alone."""
    with database.postgres_database(postgres_server, _postgresql_template) as name:
        yield postgres_server.url_of(name)


@pytest.fixture
def sqlite_url(tmp_path: Path, _sqlite_template: Path) -> str:
    """A migrated SQLite database of this test alone."""
    return database.copied_sqlite(_sqlite_template, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database of this test alone; the test runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """As `database_url`, without tables; for tests of the migrations."""
    if request.param == "sqlite":
        yield database.sqlite_url(tmp_path / "empty.sqlite")
        return
    cluster: Cluster = request.getfixturevalue("postgres_server")
    with database.postgres_database(cluster) as name:
        yield cluster.url_of(name)


@pytest.fixture(scope="session")
def chromium() -> packages.Installation:
    """A browser, installed when it is missing."""
    return packages.ensure(packages.CHROMIUM)


@pytest.fixture(scope="session")
def _mortal_broker() -> Iterator[MortalBroker]:
    with mortal.mortal_broker() as broker:
        yield broker


@pytest.fixture
def mortal_broker(_mortal_broker: MortalBroker) -> Iterator[MortalBroker]:
    """A node that the test may kill, alive, with empty queues."""
    _mortal_broker.empty()
    yield _mortal_broker
    if not _mortal_broker.broker.is_ready():
        _mortal_broker.revive()
