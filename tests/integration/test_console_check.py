"""`entra-sms check`: each trouble is provoked for real and named, and nothing is changed by looking."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
import trustme
from sqlalchemy import create_engine, text

from common import topology
from common.broker import connection as broker_connection
from console import check_public_url
from tests.support.broker import Vhost
from tests.support.console import EntraSms
from tests.support.declared_broker import declared, listening
from tests.support.handshake_server import HandshakeServer, handshake_server

NOBODY = "amqp://guest:password-of-the-broker@127.0.0.1:1/%2F"


@dataclass
class Looked:
    """What `entra-sms check --json` said."""

    code: int
    healthy: bool
    checks: list[dict[str, Any]]
    err: str

    def of(self, name: str) -> list[tuple[str, str]]:
        """Return verdict and words of the checks of that name."""
        return [
            (one["verdict"], " ".join(filter(None, (one["text"], one["advice"]))))
            for one in self.checks
            if one["name"] == name
        ]

    def one(self, name: str) -> tuple[str, str]:
        [found] = self.of(name)
        return found


def look(entra_sms: EntraSms, *arguments: str) -> Looked:
    ended = entra_sms("check", "--json", *arguments)
    body = json.loads(ended.out)
    return Looked(ended.code, body["healthy"], body["checks"], ended.err)


@dataclass
class Certificates:
    """An authority of the test, and the certificates it signs."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    @property
    def bundle(self) -> Path:
        path = self.folder / "authority.pem"
        self.authority.cert_pem.write_to_path(str(path))
        return path

    def sign(self, *names: str, **options: Any) -> Path:
        """A certificate with its key in one file."""
        path = self.folder / f"{len(list(self.folder.iterdir()))}.pem"
        self.authority.issue_cert(*names, **options).private_key_and_cert_chain_pem.write_to_path(str(path))
        return path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def _microsoft(certificates: Certificates) -> Iterator[HandshakeServer]:
    with handshake_server(certificates.sign("localhost")) as server:
        yield server


@pytest.fixture
def microsoft(_microsoft: HandshakeServer) -> Iterator[HandshakeServer]:
    """What answers as Graph and as login service, with a good certificate."""
    yield _microsoft
    _microsoft.clock_ahead, _microsoft.status = timedelta(), 200


@pytest.fixture
def entra_sms(sqlite_url: str, microsoft: HandshakeServer, certificates: Certificates) -> EntraSms:
    """An installation without a broker, a public address or a tenant."""
    settings = {
        "database_url": sqlite_url,
        "amqp_url": NOBODY,
        "graph_url": microsoft.url,
        "login_url": microsoft.url,
        "ca_bundle": str(certificates.bundle),
    }
    return EntraSms(settings)


# Settings


def test_the_check_goes_on_without_the_settings_that_cannot_be_used(entra_sms: EntraSms) -> None:
    entra_sms.extra |= {"ENTRA_SMS_POLL_SECONDS": "soon", "ENTRA_SMS_PUBLIC_URL": "http://x"}

    looked = look(entra_sms)

    assert looked.code == 1  # and RabbitMQ is away
    said = " ".join(words for _, words in looked.of("settings.values"))
    assert "ENTRA_SMS_POLL_SECONDS" in said
    assert "ENTRA_SMS_PUBLIC_URL" in said
    assert looked.one("public_url.settings") == ("skipped", "Not looked at: ENTRA_SMS_PUBLIC_URL cannot be used.")
    assert looked.one("database.schema")[0] == "fine"
    assert looked.one("microsoft.graph")[0] == "fine"


def test_a_wrong_setting_alone_ends_with_the_code_of_settings(entra_sms: EntraSms, amqp_url: str) -> None:
    entra_sms.extra |= {"ENTRA_SMS_AMQP_URL": amqp_url, "ENTRA_SMS_SECRET_KEY": "too-short"}
    declared(amqp_url)
    with listening(amqp_url):
        looked = look(entra_sms)

    assert looked.code == 2
    assert looked.one("tenant.state") == ("skipped", "Not looked at: ENTRA_SMS_SECRET_KEY cannot be used.")
    assert "too-short" not in str(looked)


def test_a_missing_server_key_is_told(entra_sms: EntraSms) -> None:
    entra_sms.extra["ENTRA_SMS_SECRET_KEY"] = ""

    verdict, words = look(entra_sms).one("settings.secret_key")

    assert verdict == "trouble"
    assert "openssl rand -hex 32" in words


def test_files_that_are_no_certificates_are_told(
    entra_sms: EntraSms, certificates: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "nonsense.pem").write_text("nonsense")
    entra_sms.extra |= {
        "ENTRA_SMS_CA_BUNDLE": str(tmp_path / "nonsense.pem"),
        "ENTRA_SMS_WEBHOOK_TLS_CERTIFICATE": str(certificates.sign("one.example")),
        "ENTRA_SMS_WEBHOOK_TLS_KEY": str(certificates.sign("two.example")),
    }

    looked = look(entra_sms)

    assert "nonsense.pem, cannot be used" in looked.one("settings.ca_bundle")[1]
    assert "KEY_VALUES_MISMATCH" in looked.one("settings.webhook_tls_certificate")[1]
    assert looked.one("microsoft.graph")[0] == "trouble"


def test_no_secret_is_shown_and_no_password(entra_sms: EntraSms) -> None:
    ended = entra_sms.run("-v", "check")

    assert ended.code == 4
    assert "RabbitMQ cannot be reached at 127.0.0.1:1" in ended.out
    for secret in ("password-of-the-broker", entra_sms.environment["ENTRA_SMS_SECRET_KEY"]):
        assert secret not in ended.out + ended.err


# The database


def test_the_database_is_looked_at_and_its_product_is_named(entra_sms: EntraSms, database_url: str) -> None:
    entra_sms.extra["ENTRA_SMS_DATABASE_URL"] = database_url

    looked = look(entra_sms)

    product = "SQLite" if database_url.startswith("sqlite") else "PostgreSQL"
    assert looked.one("database.address")[0] == "fine"
    assert looked.one("database.address")[1].startswith(product)
    assert looked.one("database.schema")[0] == "fine"
    assert [verdict for verdict, _ in looked.of("database.clock")] == ["fine"] * (product == "PostgreSQL")
    assert looked.one("tenant.state")[0] == "skipped"
    assert "tenants add" in looked.one("tenant.state")[1]


def test_a_database_without_tables_is_told_and_stays_without(entra_sms: EntraSms, empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('0001')"))
    entra_sms.extra["ENTRA_SMS_DATABASE_URL"] = empty_database_url

    looked = look(entra_sms)

    assert looked.one("database.schema")[0] == "warning"
    assert "The worker brings them up to date" in looked.one("database.schema")[1]
    assert looked.one("tenant.state")[0] == "skipped"
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == ["0001"]
    engine.dispose()


def test_a_database_of_a_newer_version_is_told(entra_sms: EntraSms, database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    entra_sms.extra["ENTRA_SMS_DATABASE_URL"] = database_url

    verdict, words = look(entra_sms).one("database.schema")

    assert verdict == "trouble"
    assert "made by a newer one" in words


def test_a_file_that_is_not_there_yet_is_not_made(entra_sms: EntraSms, tmp_path: Path) -> None:
    entra_sms.extra["ENTRA_SMS_DATABASE_URL"] = f"sqlite:///{tmp_path}/new/book.sqlite"

    looked = look(entra_sms)

    assert looked.one("database.address")[0] == "warning"
    assert not (tmp_path / "new").exists()


def test_a_file_that_was_looked_at_is_the_same(entra_sms: EntraSms, sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    before = (path.read_bytes(), sorted(path.parent.iterdir()))

    assert look(entra_sms).one("database.schema")[0] == "fine"

    assert (path.read_bytes(), sorted(path.parent.iterdir())) == before


@pytest.mark.parametrize("address", ["postgresql+psycopg://user:hush@127.0.0.1:1/book", "sqlite:///{}/no.sqlite"])
def test_a_database_that_cannot_be_read_is_told_with_its_place(
    entra_sms: EntraSms, address: str, tmp_path: Path
) -> None:
    (tmp_path / "no.sqlite").write_text("This is no database, but a letter to whoever reads it.")
    entra_sms.extra["ENTRA_SMS_DATABASE_URL"] = address.format(tmp_path)

    looked = look(entra_sms)

    verdict, words = looked.one("database.address")
    assert verdict == "trouble"
    assert "Start it, or correct ENTRA_SMS_DATABASE_URL." in words
    assert "hush" not in words
    assert looked.one("microsoft.graph")[0] == "fine"


def test_a_database_whose_clock_differs_is_told(entra_sms: EntraSms, postgresql_url: str) -> None:
    engine = create_engine(postgresql_url)
    with engine.begin() as connection:  # the database's own clock, ten minutes early
        connection.execute(text("CREATE SCHEMA early"))
        early = "'SELECT pg_catalog.clock_timestamp() + interval ''10 minutes'''"
        connection.execute(text(f"CREATE FUNCTION early.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS {early}"))
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f'ALTER DATABASE "{name}" SET search_path = early, pg_catalog, public'))
    engine.dispose()
    entra_sms.extra["ENTRA_SMS_DATABASE_URL"] = postgresql_url

    verdict, words = look(entra_sms).one("database.clock")

    assert verdict == "warning"
    assert "10 min behind the database's" in words


# RabbitMQ


def test_a_broker_where_all_is_declared_and_a_worker_listens_is_fine(entra_sms: EntraSms, vhost: Vhost) -> None:
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = vhost.url
    declared(vhost.url)
    with listening(vhost.url):
        looked = look(entra_sms, "--management-url", vhost.broker.management_url)

    assert looked.healthy
    assert looked.code == 0
    rabbitmq = {one["name"]: one["verdict"] for one in looked.checks if one["name"].startswith("rabbitmq.")}
    assert rabbitmq == dict.fromkeys(
        [f"rabbitmq.{name}" for name in ("address", "declared", "bindings", "workers", "dead_letters")], "fine"
    )


def test_a_broker_without_anything_is_told_and_stays_without(entra_sms: EntraSms, vhost: Vhost) -> None:
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = vhost.url

    looked = look(entra_sms)

    assert "Neither the exchange nor a queue is there yet" in looked.one("rabbitmq.declared")[1]
    assert looked.one("rabbitmq.workers")[0] == "trouble"
    assert looked.code == 1
    assert vhost.queues() == {}


def test_a_missing_queue_is_named_and_not_declared(entra_sms: EntraSms, vhost: Vhost) -> None:
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = vhost.url
    declared(vhost.url)
    with pika.BlockingConnection(pika.URLParameters(vhost.url)) as connection:
        connection.channel().queue_delete(topology.COMMANDS)

    verdict, words = look(entra_sms).one("rabbitmq.declared")

    assert (verdict, words.partition(".")[0]) == ("trouble", "The queue sync")
    assert "sync.commands is missing" in words
    assert topology.COMMANDS not in vhost.queues()


def test_a_queue_and_an_exchange_with_other_arguments_are_named(entra_sms: EntraSms, vhost: Vhost) -> None:
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = vhost.url
    declared(vhost.url)
    with pika.BlockingConnection(pika.URLParameters(vhost.url)) as connection:
        channel = connection.channel()
        channel.queue_delete(topology.LIFECYCLE)
        channel.queue_declare(topology.LIFECYCLE, durable=True, arguments={"x-queue-type": "classic"})
        channel.exchange_delete(topology.EXCHANGE)
        channel.exchange_declare(topology.EXCHANGE, "direct", durable=True)

    found = look(entra_sms).of("rabbitmq.declared")

    assert [verdict for verdict, _ in found] == ["trouble", "trouble"]
    assert "exchange 'sync'" in found[0][1]
    assert "queue 'sync.lifecycle'" in found[1][1]
    assert vhost.queues()[topology.LIFECYCLE]["arguments"] == {"x-queue-type": "classic"}


def test_a_missing_binding_is_named_and_not_made(entra_sms: EntraSms, vhost: Vhost) -> None:
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = vhost.url
    declared(vhost.url)
    with pika.BlockingConnection(pika.URLParameters(vhost.url)) as connection:
        connection.channel().queue_unbind(topology.REQUESTS, topology.EXCHANGE, "request.*")
    management = ("--management-url", vhost.broker.management_url)

    assert look(entra_sms).one("rabbitmq.bindings")[0] == "skipped"
    for _ in range(2):
        verdict, words = look(entra_sms, *management).one("rabbitmq.bindings")
        assert verdict == "trouble"
        assert "request.* -> sync.requests" in words
        assert "sync.commands" not in words


def test_a_management_address_that_is_none_is_told(entra_sms: EntraSms, vhost: Vhost, unused_port: int) -> None:
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = vhost.url

    nobody = look(entra_sms, "--management-url", f"http://127.0.0.1:{unused_port}").one("rabbitmq.bindings")
    with handshake_server(None) as stranger:
        stranger.status = 401
        url = stranger.url.replace("https://", "http://")
        refused = look(entra_sms, "--management-url", url).one("rabbitmq.bindings")

    assert nobody == ("trouble", f"http://127.0.0.1:{unused_port} is no management address: nobody listens there.")
    assert refused[0] == "trouble"
    assert "answers 401. The user" in refused[1]


def test_the_management_address_may_have_an_account_of_its_own(entra_sms: EntraSms, vhost: Vhost) -> None:
    declared(vhost.url)
    parts = urlsplit(vhost.url)
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = vhost.url
    url = vhost.broker.management_url.replace("://", f"://{parts.username}@")
    arguments = ("check", "--json", "--management-url", url, "--management-password-file", "-")

    right = entra_sms(*arguments, stdin=f"{parts.password}\n")
    wrong = entra_sms(*arguments, stdin="not-the-password\n")

    assert "The exchange leads to every queue" in right.out
    assert f"{vhost.broker.management_url} answers 401" in wrong.out
    assert "not-the-password" not in wrong.out + wrong.err


@pytest.mark.parametrize("url", ["127.0.0.1:15672", "http://monitor:not-secret@127.0.0.1:15672", "ftp://127.0.0.1"])
def test_a_management_address_that_cannot_be_one_is_refused(entra_sms: EntraSms, url: str) -> None:
    ended = entra_sms("check", "--management-url", url)

    assert ended.code == 2
    assert "--management-password-file" in ended.words
    assert "not-secret" not in ended.err


def test_dead_letters_are_pointed_out(entra_sms: EntraSms, vhost: Vhost) -> None:
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = vhost.url
    declared(vhost.url)
    with pika.BlockingConnection(pika.URLParameters(vhost.url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", topology.DEAD_LETTERS, b"{}")

    verdict, words = look(entra_sms).one("rabbitmq.dead_letters")

    assert verdict == "warning"
    assert words.startswith("1 message among the dead letters.")


def test_a_broker_that_does_not_let_us_in_is_told(entra_sms: EntraSms, amqp_url: str) -> None:
    parts = urlsplit(amqp_url)
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = parts._replace(
        netloc=f"{parts.username}:not-the-password@{parts.hostname}:{parts.port}"
    ).geturl()

    verdict, words = look(entra_sms).one("rabbitmq.address")

    assert verdict == "trouble"
    assert "refuses the user or the password" in words
    assert "not-the-password" not in words


def test_a_broker_that_says_nothing_is_told(
    entra_sms: EntraSms, silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_connection, "CONNECT_SECONDS", 0.5)
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = f"amqp://guest:guest@127.0.0.1:{silent_port}/%2F"

    assert "it does not answer" in look(entra_sms).one("rabbitmq.address")[1]


# The public address


@pytest.fixture
def public(certificates: Certificates) -> Iterator[HandshakeServer]:
    """What stands at the public address, with a good certificate."""
    with handshake_server(certificates.sign("localhost")) as server:
        yield server


def at(entra_sms: EntraSms, url: str) -> Looked:
    entra_sms.extra["ENTRA_SMS_PUBLIC_URL"] = url
    return look(entra_sms)


def test_an_address_that_repeats_the_token_is_fine(entra_sms: EntraSms, public: HandshakeServer) -> None:
    looked = at(entra_sms, f"{public.url}/sms")

    for name in ("certificate", "notifications", "lifecycle"):
        assert looked.one(f"public_url.{name}")[0] == "fine"
    assert public.asked == [("POST", "/sms/graph/notifications"), ("POST", "/sms/graph/lifecycle")]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 301, "headers": {"Location": "https://www.example/"}}, "redirect (301) to https://www.example/."),
        ({"status": 403}, "answers 403 to the handshake, not 200. Let everybody in"),
        ({"status": 404}, "answers 404 to the handshake, not 200. The address does not lead to the webhook"),
        ({"status": 502}, "answers 502 to the handshake, not 200. The proxy does not reach the webhook"),
        ({"status": 418}, "answers 418 to the handshake, not 200. See docs/webhook.md"),
        ({"body": b"<html>Welcome</html>"}, "does not repeat the token unchanged"),
        ({"content_type": "text/html"}, "answers as text/html, not as text/plain"),
    ],
)
def test_an_answer_that_graph_would_not_take_is_told(
    entra_sms: EntraSms, public: HandshakeServer, answer: dict[str, Any], words: str
) -> None:
    vars(public).update(answer)

    looked = at(entra_sms, public.url)

    for name in ("notifications", "lifecycle"):
        verdict, said = looked.one(f"public_url.{name}")
        assert verdict == "trouble"
        assert words in said
        assert f"{public.url}/graph/{name}" in said


def test_an_address_that_does_not_answer_in_time_is_told(
    entra_sms: EntraSms, public: HandshakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_public_url, "ANSWER_SECONDS", 0.5)
    public.silent = True

    verdict, words = at(entra_sms, public.url).one("public_url.notifications")

    assert verdict == "trouble"
    assert "it does not answer" in words
    assert ("POST", "/graph/notifications") in public.asked


Provoked = Callable[[Certificates], Path | None]


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (lambda ours: ours.sign("other.example"), "its certificate is made out to another name"),
        (
            lambda ours: ours.sign("localhost", not_after=datetime.now(UTC) - timedelta(days=1)),
            "its certificate has expired",
        ),
        (lambda ours: Certificates(ours.folder).sign("localhost"), "not signed by an authority that is trusted"),
        (lambda _: None, "it does not speak TLS as it should"),
    ],
    ids=["name", "expired", "authority", "http"],
)
def test_a_certificate_that_graph_would_not_take_is_told_once(
    entra_sms: EntraSms, certificates: Certificates, certificate: Provoked, words: str
) -> None:
    with handshake_server(certificate(certificates)) as server:
        looked = at(entra_sms, server.url)

    verdict, said = looked.one("public_url.certificate")
    assert verdict == "trouble"
    assert words in said
    assert looked.of("public_url.notifications") == []
    assert server.asked == []


def test_a_certificate_that_ends_soon_is_pointed_out(entra_sms: EntraSms, certificates: Certificates) -> None:
    soon = datetime.now(UTC) + timedelta(days=9, hours=1)
    with handshake_server(certificates.sign("localhost", not_after=soon)) as server:
        verdict, words = at(entra_sms, server.url).one("public_url.certificate")

    assert verdict == "warning"
    assert "9 more days" in words


def test_an_address_where_nobody_is_is_told(entra_sms: EntraSms, unused_port: int) -> None:
    refused = at(entra_sms, f"https://localhost:{unused_port}").one("public_url.certificate")
    unknown = at(entra_sms, "https://nobody.invalid").one("public_url.certificate")

    assert "nobody listens there" in refused[1]
    assert "its name is not known here (DNS)" in unknown[1]


def test_beside_microsofts_graph_a_private_authority_will_not_do(
    public: HandshakeServer, certificates: Certificates
) -> None:
    from common.config import load

    ours = {"ENTRA_SMS_PUBLIC_URL": public.url, "ENTRA_SMS_CA_BUNDLE": str(certificates.bundle)}
    [real] = check_public_url.look(load(ours))
    simulated = list(check_public_url.look(load(ours | {"ENTRA_SMS_LOGIN_URL": "https://login.example"})))

    assert "not signed by an authority that is trusted" in real.text
    assert [finding.verdict for finding in simulated] == ["fine"] * 3


# Microsoft


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [
        (timedelta(seconds=30), "fine", "agrees with Microsoft's"),
        (timedelta(minutes=3), "warning", "behind Microsoft's"),
        (timedelta(minutes=-3), "warning", "ahead of Microsoft's"),
        (timedelta(hours=1), "trouble", "60 min behind Microsoft's"),
    ],
)
def test_a_clock_that_differs_is_told(
    entra_sms: EntraSms, microsoft: HandshakeServer, ahead: timedelta, verdict: str, words: str
) -> None:
    microsoft.clock_ahead = ahead

    found = look(entra_sms).one("microsoft.clock")

    assert found[0] == verdict
    assert words in found[1]


def test_a_graph_that_cannot_be_reached_is_told_and_the_login_service_is_looked_at(
    entra_sms: EntraSms, unused_port: int, certificates: Certificates
) -> None:
    entra_sms.extra["ENTRA_SMS_GRAPH_URL"] = f"https://localhost:{unused_port}"

    looked = look(entra_sms)

    assert "nobody listens there" in looked.one("microsoft.graph")[1]
    assert looked.one("microsoft.login")[0] == "fine"
    assert looked.code == 4


def test_a_graph_whose_authority_is_not_trusted_is_told(entra_sms: EntraSms, tmp_path: Path) -> None:
    entra_sms.extra["ENTRA_SMS_CA_BUNDLE"] = str(Certificates(tmp_path).bundle)

    verdict, words = look(entra_sms).one("microsoft.graph")

    assert verdict == "trouble"
    assert "ENTRA_SMS_CA_BUNDLE" in words


def test_a_login_service_in_trouble_is_told(entra_sms: EntraSms, microsoft: HandshakeServer) -> None:
    microsoft.status = 503

    assert "it answers 503" in look(entra_sms).one("microsoft.login")[1]
