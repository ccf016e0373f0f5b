"""`entra-sms check` of tenants, against a simulated directory: access, expiry, pauses and subscriptions."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.clock import utc_now
from common.config import load
from common.db import tenants
from common.db.engine import Database
from common.graph.client import GraphClient
from common.graph.credentials import ClientSecret, Credentials
from common.messages import Stream
from common.secrets import Vault
from console.connection import Installation
from simulator.certificates import ensure_authority
from tests.support.book import Book, add_tenant
from tests.support.console import EntraSms
from tests.support.declared_broker import declared, listening
from tests.support.handshake_server import HandshakeServer, handshake_server
from tests.support.simulated import Simulator, simulator

PERMISSIONS = ["User.Read.All", "Group.Read.All", "GroupMember.Read.All"]
Checks = dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulator")


@pytest.fixture(scope="module")
def _simulator(folder: Path) -> Iterator[Simulator]:
    with simulator(folder) as running:
        yield running


@pytest.fixture
def directory(_simulator: Simulator) -> Iterator[Simulator]:
    """The simulated directory, with everything granted, nothing expired and no subscription."""
    yield _simulator
    _simulator.control("PUT", "/permissions", {"roles": PERMISSIONS})
    _simulator.control("PUT", "/credentials", {"client_secret": _simulator.client_secret, "expired": False})
    _simulator.control("POST", "/faults/reset")
    for one in _simulator.control("GET", "/subscriptions")["subscriptions"]:
        _simulator.control("DELETE", f"/subscriptions/{one['id']}")


@pytest.fixture(scope="module")
def webhook(folder: Path, _simulator: Simulator) -> Iterator[HandshakeServer]:
    """What the simulator validates as a webhook."""
    files = ensure_authority(folder).issue(folder, "webhook", ["localhost"])
    with handshake_server(*files) as server:
        yield server


@pytest.fixture
def entra_sms(database_url: str, directory: Simulator, webhook: HandshakeServer) -> EntraSms:
    """An installation with the simulated tenant, and no broker."""
    nobody = "amqp://guest:guest@127.0.0.1:1/%2F"
    settings = {"database_url": database_url, "amqp_url": nobody, "public_url": webhook.url, **directory.settings}
    return EntraSms(settings)


@pytest.fixture(autouse=True)
def book(entra_sms: EntraSms, directory: Simulator) -> Iterator[Book]:
    """The tenant, as it is after `entra-sms tenants add`."""
    database = Database.from_url(entra_sms.settings["database_url"])
    sealed = tenants.seal_credential(Vault(load(entra_sms.environment)), ClientSecret(directory.client_secret))
    known = {"tenant_id": directory.tenant_id, "client_id": directory.client_id, "sealed_credential": sealed}
    with database.write() as connection:
        add_tenant(connection, "Nordwind", directory.domain, **known)
    yield Book(database, directory.tenant_id)
    database.close()


def look(entra_sms: EntraSms, *arguments: str) -> Checks:
    """Return verdict and words of each check of the tenant, by its name."""
    body: dict[str, Any] = json.loads(entra_sms("check", "--json", *arguments).out)
    return {
        one["name"].removeprefix("tenant."): (one["verdict"], f"{one['text']} {one['advice'] or ''}".strip())
        for one in body["checks"]
        if one["name"].startswith("tenant.")
    }


def graph(entra_sms: EntraSms, directory: Simulator) -> GraphClient:
    settings = load(entra_sms.environment)
    credentials = Credentials(directory.tenant_id, directory.client_id, ClientSecret(directory.client_secret))
    installation = Installation()
    installation.settle_for(settings)
    return installation.graph(credentials, settings.cloud(None))


def subscribed(entra_sms: EntraSms, directory: Simulator, book: Book, url: str, *streams: Stream) -> list[str]:
    """Make subscriptions at Graph that call `url`, and note them as the worker does; their ids."""
    client = graph(entra_sms, directory)
    made = [
        client.create_subscription(
            stream, public_url=url, client_state="secret", expires_at=utc_now() + timedelta(hours=3)
        )
        for stream in streams
    ]
    for stream, one in zip(streams, made, strict=True):
        book.subscription(stream, one.subscription_id, one.expires_at)
    return [one.subscription_id for one in made]


def test_a_tenant_that_works_is_fine_in_every_respect(
    entra_sms: EntraSms, directory: Simulator, book: Book, webhook: HandshakeServer
) -> None:
    subscribed(entra_sms, directory, book, webhook.url, *Stream)

    looked = look(entra_sms)

    assert {verdict for verdict, _ in looked.values()} == {"fine"}
    assert set(looked) == {
        "sign_in",
        *(f"permission.{one}" for one in PERMISSIONS),
        "subscription.users",
        "subscription.groups",
    }


def test_each_missing_permission_is_named(entra_sms: EntraSms, directory: Simulator) -> None:
    directory.control("PUT", "/permissions", {"roles": ["User.Read.All"]})

    looked = look(entra_sms)

    assert looked["sign_in"][0] == looked["permission.User.Read.All"][0] == "fine"
    for permission in PERMISSIONS[1:]:
        verdict, words = looked[f"permission.{permission}"]
        assert verdict == "trouble"
        assert f"The application permission {permission} is missing or not consented to" in words


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({"expired": True}, "The client secret has expired. [AADSTS7000222]"),
        ({"client_secret": "another-one"}, "The client secret is wrong. [AADSTS7000215]"),
    ],
)
def test_a_secret_that_is_refused_is_told_with_what_to_do(
    entra_sms: EntraSms, directory: Simulator, credentials: dict[str, Any], words: str
) -> None:
    directory.control("PUT", "/credentials", credentials)

    looked = look(entra_sms)

    assert set(looked) == {"sign_in"}
    assert words in looked["sign_in"][1]
    assert "Certificates & secrets" in looked["sign_in"][1]
    assert directory.client_secret not in str(looked)


def test_refused_access_alone_ends_with_its_code(
    entra_sms: EntraSms, directory: Simulator, amqp_url: str, book: Book, webhook: HandshakeServer
) -> None:
    subscribed(entra_sms, directory, book, webhook.url, *Stream)
    entra_sms.extra["ENTRA_SMS_AMQP_URL"] = amqp_url
    declared(amqp_url)
    with listening(amqp_url):
        well = entra_sms("check")
        directory.control("PUT", "/credentials", {"expired": True})
        expired = entra_sms("check")

    assert (well.code, expired.code) == (0, 3)


def test_a_server_key_that_does_not_open_the_secret_is_told(entra_sms: EntraSms) -> None:
    entra_sms.extra["ENTRA_SMS_SECRET_KEY"] = "another key of the tests, of 32 characters or more"

    verdict, words = look(entra_sms)["credential"]

    assert verdict == "trouble"
    assert "ENTRA_SMS_SECRET_KEY_PREVIOUS" in words


def test_a_login_service_that_is_away_is_told(entra_sms: EntraSms, directory: Simulator) -> None:
    directory.control("PUT", "/faults", {"server_error_login": 1.0})

    verdict, words = look(entra_sms)["sign_in"]

    assert verdict == "trouble"
    assert "ENTRA_SMS_LOGIN_URL" in words
    assert directory.fired()["server_error_login"] > 0


def test_nothing_of_a_paused_tenant_is_read(entra_sms: EntraSms, directory: Simulator, book: Book) -> None:
    book.tenant(state="paused", state_reason="The contract ends.")
    before = directory.graph_requests()

    looked = look(entra_sms)

    assert set(looked) == {"state"}
    assert looked["state"][0] == "skipped"
    assert "The contract ends." in looked["state"][1]
    assert directory.graph_requests() == before


def test_access_that_works_again_is_pointed_out(entra_sms: EntraSms, book: Book) -> None:
    book.tenant(state="access_failed", state_reason="The client secret has expired.")

    verdict, words = look(entra_sms)["state"]

    assert verdict == "warning"
    assert "entra-sms tenants check Nordwind" in words


@pytest.mark.parametrize(
    ("days", "verdict", "words"),
    [
        (200, "fine", "in 201 days"),
        (12, "warning", "in 13 days. Make a new one"),
        (5, "trouble", "in 6 days. Make a new one"),
        (-1, "trouble", "expired on"),
    ],
)
def test_how_long_the_credential_lasts_is_told(
    entra_sms: EntraSms, book: Book, days: int, verdict: str, words: str
) -> None:
    book.tenant(credential_expires_at=datetime.now(UTC) + timedelta(days=days, hours=1))

    found = look(entra_sms)["credential"]

    assert found[0] == verdict
    assert words in found[1]


def test_a_subscription_that_is_not_there_is_told_and_not_made(entra_sms: EntraSms, directory: Simulator) -> None:
    looked = look(entra_sms)

    for stream in Stream:
        verdict, words = looked[f"subscription.{stream}"]
        assert verdict == "trouble"
        assert f"Graph does not notify of {stream}: no subscription was made yet" in words
    assert directory.control("GET", "/subscriptions")["subscriptions"] == []


def test_without_a_public_address_no_subscription_is_missed(entra_sms: EntraSms) -> None:
    entra_sms.extra["ENTRA_SMS_PUBLIC_URL"] = ""

    looked = look(entra_sms)

    assert looked["sign_in"][0] == "fine"
    assert not [name for name in looked if name.startswith("subscription")]


def test_a_subscription_that_graph_forgot_is_told_with_the_words_of_the_worker(
    entra_sms: EntraSms, directory: Simulator, book: Book, webhook: HandshakeServer
) -> None:
    users, _ = subscribed(entra_sms, directory, book, webhook.url, Stream.USERS, Stream.GROUPS)
    directory.control("DELETE", f"/subscriptions/{users}")
    book.tenant(subscription_trouble="Graph makes no subscription.", reconcile_at=utc_now() + timedelta(minutes=7))

    looked = look(entra_sms)

    verdict, words = looked["subscription.users"]
    assert verdict == "trouble"
    assert "Graph does not have the subscription any more" in words
    assert "The worker says: Graph makes no subscription." in words
    assert "in 7 min" in words or "in 6 min" in words
    assert looked["subscription.groups"][0] == "fine"


def test_a_subscription_that_calls_somewhere_else_is_told(
    entra_sms: EntraSms, directory: Simulator, book: Book, webhook: HandshakeServer
) -> None:
    subscribed(entra_sms, directory, book, f"{webhook.url}/elsewhere", Stream.USERS)

    verdict, words = look(entra_sms)["subscription.users"]

    assert verdict == "trouble"
    assert f"the subscription calls {webhook.url}/elsewhere/graph/notifications" in words


def test_subscriptions_that_call_here_without_being_known_are_pointed_out(
    entra_sms: EntraSms, directory: Simulator, book: Book, webhook: HandshakeServer
) -> None:
    client = graph(entra_sms, directory)
    for url in (webhook.url, f"{webhook.url}/elsewhere"):
        stream = Stream.USERS if url == webhook.url else Stream.GROUPS
        client.create_subscription(stream, public_url=url, client_state="x", expires_at=utc_now() + timedelta(hours=3))

    verdict, words = look(entra_sms)["subscription.strays"]

    assert verdict == "warning"
    assert words.startswith("1 subscription at Graph call")


def test_the_cloud_of_each_tenant_is_looked_at_and_no_other(
    entra_sms: EntraSms, directory: Simulator, book: Book
) -> None:
    away = "https://localhost:1"
    entra_sms.extra |= {
        "ENTRA_SMS_GRAPH_URL": away,
        "ENTRA_SMS_LOGIN_URL": away,
        "ENTRA_SMS_CLOUDS": f"private={directory.url},{directory.url}",
    }
    refused = entra_sms("check")
    book.tenant(cloud="private")
    well = entra_sms("check")
    book.tenant(cloud="unheard-of")
    unknown = look(entra_sms)

    assert f"Graph cannot be reached at {away} (ENTRA_SMS_GRAPH_URL)" in refused.out
    assert away not in well.out
    assert f"Graph at {directory.url} answers" in well.out
    assert "The sign-in works." in well.out
    assert unknown["credential"][0] == "trouble"
    assert "There is no cloud 'unheard-of'." in unknown["credential"][1]


def test_one_tenant_alone_is_looked_at_when_it_is_named(entra_sms: EntraSms) -> None:
    assert look(entra_sms, "--tenant", "nordwind")["sign_in"][0] == "fine"
    verdict, words = look(entra_sms, "--tenant", "Nordwand")["state"]
    assert verdict == "trouble"
    assert "Did you mean 'Nordwind'?" in words
