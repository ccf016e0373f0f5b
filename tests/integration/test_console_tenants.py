"""`entra-sms tenants` against a simulated directory: what is checked, refused, saved, and never shown."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pika
import pytest
from sqlalchemy import select

from common import topology
from common.config import load
from common.db import tenants
from common.db.engine import Database
from common.db.tables import streams
from common.db.tenants import RecipientRule, RemovalLimit, TenantState
from common.graph.credentials import ClientSecret
from common.messages import Stream
from common.secrets import Vault
from tests.support.book import Book, book, guid
from tests.support.console import SECRET_KEY, EntraSms
from tests.support.eventually import eventually
from tests.support.simulated import Simulator, simulator

PERMISSIONS = ["User.Read.All", "Group.Read.All", "GroupMember.Read.All"]
NOBODY = "amqp://guest:password-of-the-broker@127.0.0.1:1/%2F"


@pytest.fixture(scope="module")
def _simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("simulator")) as running:
        yield running


@pytest.fixture
def directory(_simulator: Simulator) -> Iterator[Simulator]:
    """The simulated directory, with everything granted and nothing expired."""
    yield _simulator
    _simulator.control("PUT", "/permissions", {"roles": PERMISSIONS})
    _simulator.control("PUT", "/credentials", {"client_secret": _simulator.client_secret, "expired": False})
    _simulator.control("POST", "/faults/reset")


@pytest.fixture
def entra_sms(sqlite_url: str, amqp_url: str, directory: Simulator) -> EntraSms:
    return EntraSms({"database_url": sqlite_url, "amqp_url": amqp_url, **directory.settings})


@pytest.fixture
def secret_file(tmp_path: Path, directory: Simulator) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{directory.client_secret}\n")
    return path


@pytest.fixture
def given(directory: Simulator, secret_file: Path) -> dict[str, str]:
    """Everything that `tenants add` wants to know."""
    return {
        "--tenant-id": directory.tenant_id,
        "--client-id": directory.client_id,
        "--client-secret-file": str(secret_file),
        "--name": "Nordwind",
        "--domain": "nordwind.example",
        "--default-region": "PL",
        "--agreement-reference": "DPA-17",
        "--agreement-date": "2026-01-02",
    }


def add(given: dict[str, str], **changed: str | None) -> list[str]:
    """The arguments of `tenants add`; what is changed to None is left out."""
    options = given | {f"--{name.replace('_', '-')}": value for name, value in changed.items()}
    return ["tenants", "add", *(part for name, value in options.items() if value is not None for part in (name, value))]


def saved(database_url: str) -> list[tenants.Tenant]:
    database = Database.from_url(database_url)
    try:
        with database.read() as connection:
            return list(tenants.find(connection, "*"))
    finally:
        database.close()


def test_a_tenant_is_checked_and_saved_and_the_worker_is_told(
    database_url: str, amqp_url: str, directory: Simulator, given: dict[str, str]
) -> None:
    entra_sms = EntraSms({"database_url": database_url, "amqp_url": amqp_url, **directory.settings})

    ended = entra_sms.run(*add(given))

    assert ended.code == 0, ended.err
    for permission in PERMISSIONS:
        assert f"✓ {permission}" in ended.err
    assert "Added Nordwind. The first sync begins now." in " ".join(ended.out.split())
    [tenant] = saved(database_url)
    assert (tenant.domain, tenant.default_region, tenant.state) == ("nordwind.example", "PL", TenantState.ACTIVE)
    assert tenant.agreement == tenants.Agreement("DPA-17", date(2026, 1, 2))
    vault = Vault(load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY}))
    assert tenant.credentials(vault).credential == ClientSecret(directory.client_secret)
    asked = [json.loads(body) for body in taken(amqp_url, topology.REQUESTS, 2)]
    assert {(request["tenant_id"], request["stream"], request["reason"]) for request in asked} == {
        (directory.tenant_id, "users", "operator"),
        (directory.tenant_id, "groups", "operator"),
    }


def taken(amqp_url: str, queue: str, count: int) -> list[bytes]:
    """The next messages of a queue."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        bodies: list[bytes] = []

        def take() -> bool:
            _, _, body = channel.basic_get(queue, auto_ack=True)
            if body is not None:
                bodies.append(body)
            return len(bodies) == count

        eventually(take, what=f"{count} messages in {queue}")
        return bodies


def test_a_tenant_is_saved_although_the_broker_is_away(
    given: dict[str, str], sqlite_url: str, directory: Simulator
) -> None:
    entra_sms = EntraSms({"database_url": sqlite_url, "amqp_url": NOBODY, **directory.settings})

    ended = entra_sms(*add(given))

    assert ended.code == 0
    assert "RabbitMQ cannot be reached" in ended.words
    assert "the sync begins when the worker is connected again" in ended.words
    assert "password-of-the-broker" not in ended.err
    assert len(saved(sqlite_url)) == 1


def test_access_that_works_again_is_used_as_soon_as_there_is_a_broker(
    given: dict[str, str], sqlite_url: str, directory: Simulator
) -> None:
    entra_sms = EntraSms({"database_url": sqlite_url, "amqp_url": NOBODY, **directory.settings})
    entra_sms(*add(given))
    book = Book(Database.from_url(sqlite_url), directory.tenant_id)
    late = datetime.now(UTC) + timedelta(minutes=15)
    book.tenant(state="access_failed", state_reason="Expired.")
    for stream in Stream:
        book.stream(stream, next_poll_at=late)

    assert "when the worker is connected again" in entra_sms("tenants", "check").words
    with book.database.read() as connection:
        assert max(connection.scalars(select(streams.c.next_poll_at))) < late


def test_a_known_tenant_is_updated_and_keeps_what_is_not_given(
    entra_sms: EntraSms, given: dict[str, str], sqlite_url: str, directory: Simulator, tmp_path: Path
) -> None:
    assert entra_sms(*add(given)).code == 0
    renamed = entra_sms("tenants", "add", "--tenant-id", directory.tenant_id.upper(), "--name", "Nordwind AG")
    directory.control("PUT", "/credentials", {"client_secret": "another-secret~value"})
    stale = entra_sms("tenants", "check")
    (tmp_path / "new").write_text("\ufeffanother-secret~value\r\n")
    renewed = entra_sms("tenants", "add", "--tenant-id", directory.tenant_id, "--client-secret-file", f"{tmp_path}/new")

    assert "Updated Nordwind AG." in renamed.out
    assert stale.code == 3
    assert renewed.code == 0, renewed.err
    [tenant] = saved(sqlite_url)
    assert (tenant.name, tenant.domain, tenant.agreement.reference) == ("Nordwind AG", "nordwind.example", "DPA-17")
    assert entra_sms("tenants", "check").code == 0


def test_a_paused_tenant_stays_paused_when_its_settings_change(
    entra_sms: EntraSms, given: dict[str, str], sqlite_url: str, directory: Simulator
) -> None:
    assert entra_sms(*add(given)).code == 0
    assert entra_sms("tenants", "pause", "--reason", "moving house", str(saved(sqlite_url)[0].name)).code == 0
    renamed = entra_sms("tenants", "add", "--tenant-id", directory.tenant_id, "--name", "Nordwind AG")
    assert "It stays paused. To go on: entra-sms tenants resume" in " ".join(renamed.out.split())
    [tenant] = saved(sqlite_url)
    assert (tenant.name, tenant.state, tenant.state_reason) == ("Nordwind AG", TenantState.PAUSED, "moving house")


def test_the_removal_limit_is_changed_by_what_is_given_of_it(
    entra_sms: EntraSms, given: dict[str, str], sqlite_url: str, directory: Simulator
) -> None:
    steps = [
        (["--name", "Nordwind AG"], RemovalLimit(20, 10), "20 within a day, or 10 % of the book if that is more; more"),
        (["--removal-limit", "50"], RemovalLimit(50, 10), "50 within a day, or 10 % of the book if that is more; more"),
        (["--name", "Nordwind SA"], RemovalLimit(50, 10), "50 within a day, or 10 % of the book if that is more; more"),
        (["--removal-limit-percent", "0"], RemovalLimit(50, 0), "50 within a day; more than that waits"),
        (["--removal-limit", "0"], RemovalLimit(0, 0), "none: every removal waits for a decision"),
        (["--removal-limit-percent", "5"], RemovalLimit(0, 5), "5 % of the book within a day; more than that waits"),
        (["--removal-limit-percent", "100"], RemovalLimit(0, 100), "off: any number of removals is made unasked"),
    ]
    assert entra_sms(*add(given)).code == 0

    for options, limit, words in steps:
        ended = entra_sms("tenants", "add", "--tenant-id", directory.tenant_id, *options)
        assert ended.code == 0, ended.err
        assert saved(sqlite_url)[0].removal_limit == limit
        assert f"Removal limit {words}" in " ".join(entra_sms("tenants", "show").out.split())


def test_a_new_tenant_may_have_its_own_removal_limit(
    entra_sms: EntraSms, given: dict[str, str], sqlite_url: str
) -> None:
    assert entra_sms(*add(given, removal_limit="5", removal_limit_percent="100")).code == 0

    assert saved(sqlite_url)[0].removal_limit == RemovalLimit(count=5, percent=100)


def test_who_is_a_recipient_is_changed_by_what_is_given_of_it(
    entra_sms: EntraSms, given: dict[str, str], sqlite_url: str, directory: Simulator
) -> None:
    steps = [
        (["--name", "Nordwind AG"], RecipientRule(False, True), "unless the account is disabled"),
        (["--disabled-recipients", "yes"], RecipientRule(True, True), "also if the account is disabled"),
        (["--guest-recipients", "NO"], RecipientRule(True, False), "also if the account is disabled, but no guests"),
        (["--name", "Nordwind SA"], RecipientRule(True, False), "also if the account is disabled, but no guests"),
        (["--disabled-recipients", "no"], RecipientRule(False, False), "unless the account is disabled, but no guests"),
    ]
    assert entra_sms(*add(given)).code == 0

    for options, rule, words in steps:
        ended = entra_sms("tenants", "add", "--tenant-id", directory.tenant_id, *options)
        assert ended.code == 0, ended.err
        assert saved(sqlite_url)[0].recipient_rule == rule
        assert f"Recipients everybody with a number, {words} State" in " ".join(
            entra_sms("tenants", "show").out.split()
        )


def test_a_new_tenant_may_say_who_is_a_recipient(entra_sms: EntraSms, given: dict[str, str], sqlite_url: str) -> None:
    refused = entra_sms(*add(given, disabled_recipients="maybe", guest_recipients="maybe"))
    assert refused.code == 2
    assert "--disabled-recipients must be yes or no. --guest-recipients must be yes or no." in refused.words

    assert entra_sms(*add(given, guest_recipients="no")).code == 0
    assert saved(sqlite_url)[0].recipient_rule == RecipientRule(disabled=False, guests=False)


@pytest.mark.parametrize("text", ["-1", "ten", "1.5", "", "1000001", "²"])
def test_a_removal_limit_is_a_whole_number(
    entra_sms: EntraSms, given: dict[str, str], sqlite_url: str, text: str
) -> None:
    ended = entra_sms(*add(given, removal_limit=text, removal_limit_percent=text.replace("1000001", "101")))

    assert ended.code == 2
    assert "--removal-limit must be a whole number" in ended.words
    assert "--removal-limit-percent must be a whole number" in ended.words
    assert saved(sqlite_url) == []


def test_without_agreement_nothing_is_activated(entra_sms: EntraSms, given: dict[str, str], sqlite_url: str) -> None:
    ended = entra_sms(*add(given, agreement_reference=None, agreement_date=None))

    assert ended.code == 2
    assert "--agreement-reference" in ended.err
    assert "--agreement-date" in ended.err
    assert "nothing is read before a data processing agreement is on record" in ended.words
    assert saved(sqlite_url) == []


def test_everything_that_is_missing_is_listed_at_once(entra_sms: EntraSms) -> None:
    ended = entra_sms("tenants", "add")

    assert ended.code == 2
    required = re.findall(r"^  (--\S+)", ended.err, re.MULTILINE)
    assert required == [
        "--tenant-id",
        "--name",
        "--client-id",
        "--client-secret-file",
        "--agreement-reference",
        "--agreement-date",
    ]


def test_everything_that_is_wrong_is_listed_at_once(
    entra_sms: EntraSms, given: dict[str, str], sqlite_url: str
) -> None:
    tomorrow = (datetime.now(UTC).astimezone() + timedelta(days=1)).date()
    wrong = add(given, tenant_id="nordwind.example", default_region="UK", agreement_date=f"{tomorrow}", domain="x")

    ended = entra_sms(*wrong)

    assert ended.code == 2
    assert "--tenant-id must be a GUID" in ended.words
    assert "the United Kingdom is GB" in ended.words
    assert "--agreement-date lies in the future" in ended.words
    assert "--domain must be a domain" in ended.words
    assert saved(sqlite_url) == []


@pytest.mark.parametrize("day", ["20260102", "2026-W01-5", "2026-02-30", "2.1.2026", ""])
def test_a_date_is_written_in_one_way(entra_sms: EntraSms, given: dict[str, str], day: str) -> None:
    assert "must be a date such as 2026-03-02" in entra_sms(*add(given, agreement_date=day)).words


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("7d1f0c5e-0000-4000-8000-5f2b2b2b2b2b\n", "it is the Secret ID. Copy the column Value beside it"),
        ("", "is empty"),
        ("one\ntwo\n", "several lines"),
        ("two words", "has spaces"),
    ],
)
def test_what_cannot_be_a_secret_is_told_before_anything_is_asked(
    entra_sms: EntraSms, given: dict[str, str], secret_file: Path, content: str, sentence: str
) -> None:
    secret_file.write_text(content)

    ended = entra_sms(*add(given))

    assert ended.code == 2
    assert sentence in ended.words
    if content.strip():
        assert content.strip() not in ended.err


def test_a_secret_is_never_an_argument(entra_sms: EntraSms, given: dict[str, str], directory: Simulator) -> None:
    for typed in (["--client-secret", directory.client_secret], [f"--client-secret={directory.client_secret}"]):
        ended = entra_sms(*add(given), *typed)
        assert ended.code == 2
        assert "A secret is never an argument" in ended.words
        assert "--client-secret-file PATH" in ended.words
        assert directory.client_secret not in ended.out + ended.err
    assert "never an argument" in entra_sms("tenants", "add", "--client-secret").words


def test_a_secret_comes_from_standard_input(
    entra_sms: EntraSms, given: dict[str, str], directory: Simulator, sqlite_url: str
) -> None:
    ended = entra_sms(*add(given, client_secret_file="-"), stdin=f"{directory.client_secret}\n")

    assert ended.code == 0, ended.err
    assert len(saved(sqlite_url)) == 1


def test_an_unreadable_secret_file_is_named(entra_sms: EntraSms, given: dict[str, str], tmp_path: Path) -> None:
    ended = entra_sms(*add(given, client_secret_file=str(tmp_path / "nowhere")))

    assert ended.code == 2
    assert "cannot be read (No such file or directory)" in ended.words


REFUSALS = {
    "wrong secret": ("AADSTS7000215", "The client secret is wrong.", "copy its Value (not its Secret ID)"),
    "expired secret": ("AADSTS7000222", "The client secret has expired.", "make a new client secret"),
    "unknown application": ("AADSTS700016", "The application is not known in this tenant.", "(client) ID"),
    "unknown tenant": ("AADSTS90002", "The tenant does not exist.", "Directory (tenant) ID"),
}


@pytest.mark.parametrize("trouble", REFUSALS)
def test_refused_credentials_are_explained_and_nothing_is_saved(
    entra_sms: EntraSms,
    given: dict[str, str],
    directory: Simulator,
    secret_file: Path,
    sqlite_url: str,
    trouble: str,
) -> None:
    changed: dict[str, str | None] = {}
    if trouble == "wrong secret":
        secret_file.write_text("not-the~secret")
    elif trouble == "expired secret":
        directory.control("PUT", "/credentials", {"expired": True})
    elif trouble == "unknown application":
        changed["client_id"] = guid("another application")
    else:
        changed["tenant_id"] = guid("another tenant")

    ended = entra_sms(*add(given, **changed))

    code, reason, advice = REFUSALS[trouble]
    assert ended.code == 3
    for words in (code, reason, advice):
        assert words in ended.words
    assert "✗ sign-in" in ended.err
    assert "Nothing was saved." in ended.words
    assert "Traceback" not in ended.err
    assert saved(sqlite_url) == []


@pytest.mark.parametrize("lacking", ["User.Read.All", "Group.Read.All"])
def test_a_missing_permission_is_named_with_what_to_click(
    entra_sms: EntraSms, given: dict[str, str], directory: Simulator, sqlite_url: str, lacking: str
) -> None:
    directory.control("PUT", "/permissions", {"roles": [role for role in PERMISSIONS if role != lacking]})

    ended = entra_sms(*add(given))

    assert ended.code == 3
    assert f"✗ {lacking}" in ended.err
    assert "✓ sign-in" in ended.err
    assert f"The application permission {lacking} is missing or not consented to" in ended.words
    assert "click 'Grant admin consent'" in ended.words
    assert saved(sqlite_url) == []


def test_reading_groups_includes_reading_their_members(
    entra_sms: EntraSms, given: dict[str, str], directory: Simulator
) -> None:
    directory.control("PUT", "/permissions", {"roles": ["User.Read.All", "Group.Read.All"]})

    assert entra_sms(*add(given)).code == 0


def test_all_missing_permissions_are_told_at_once(
    entra_sms: EntraSms, given: dict[str, str], directory: Simulator
) -> None:
    directory.control("PUT", "/permissions", {"roles": []})

    ended = entra_sms(*add(given))

    assert ended.code == 3
    assert f"it lacks these permissions: {', '.join(PERMISSIONS)}." in ended.words


def test_graph_out_of_reach_is_no_matter_of_the_secret(given: dict[str, str], sqlite_url: str) -> None:
    nowhere = "https://127.0.0.1:1"
    entra_sms = EntraSms({"database_url": sqlite_url, "graph_url": nowhere, "login_url": nowhere})

    ended = entra_sms(*add(given))

    assert ended.code == 4
    assert f"The login service is {nowhere} (ENTRA_SMS_LOGIN_URL)" in ended.words
    assert saved(sqlite_url) == []


def test_an_untrusted_certificate_is_told(given: dict[str, str], sqlite_url: str, directory: Simulator) -> None:
    settings = directory.settings | {"database_url": sqlite_url}
    del settings["ca_bundle"]

    ended = EntraSms(settings)(*add(given))

    assert ended.code == 4
    assert "is not signed by the public authorities (ENTRA_SMS_CA_BUNDLE)" in ended.words


def test_one_name_for_two_tenants_is_refused(entra_sms: EntraSms, given: dict[str, str], sqlite_url: str) -> None:
    with book(sqlite_url, name="nordwind", domain=None):
        ended = entra_sms(*add(given))

    assert ended.code == 2
    assert "'Nordwind' is taken" in ended.words
    assert len(saved(sqlite_url)) == 1


def test_everything_is_asked_for_on_a_terminal(
    entra_sms: EntraSms, given: dict[str, str], directory: Simulator, sqlite_url: str
) -> None:
    dialogue = [
        ("Directory (tenant) ID", directory.tenant_id),
        ("Name", "Nordwind"),
        ("Domain", ""),
        ("Application (client) ID", directory.client_id),
        ("Client secret", "7d1f0c5e-0000-4000-8000-5f2b2b2b2b2b"),
        ("Client secret", directory.client_secret),
        ("expires", "2001-01-01"),
        ("expires", "2101-02-03"),
        ("Country", "XX"),
        ("Country", "PL"),
        ("reference", "DPA-17"),
        ("date", "2026-13-13"),
        ("date", "2026-01-02"),
    ]

    ended = entra_sms.on_terminal("tenants", "add", dialogue=dialogue)

    assert ended.code == 0, ended.out
    shown = " ".join(ended.out.split())
    assert "it is the Secret ID" in shown
    assert "does not lie in the future" in shown
    assert "must be a country in two letters" in shown
    assert "must be a date such as 2026-03-02" in shown
    assert "Added Nordwind." in shown
    assert directory.client_secret not in shown
    [tenant] = saved(sqlite_url)
    assert tenant.domain is None
    assert tenant.credential_expires_at == datetime(2101, 2, 3, tzinfo=UTC)


def test_the_secret_shows_in_no_output_no_log_and_no_list_of_processes(
    entra_sms: EntraSms, given: dict[str, str], directory: Simulator
) -> None:
    process = entra_sms.start("--verbose", *add(given))
    listed = ""
    while process.poll() is None:
        listed += subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        time.sleep(0.05)
    out, err = process.communicate()

    assert process.returncode == 0
    assert "console" in listed
    shown = out + err + entra_sms("tenants", "show").out + entra_sms("tenants", "list").out
    assert directory.client_secret not in shown + listed
    assert "it is never shown" in shown


def test_a_check_that_works_again_wakes_the_worker(
    sqlite_url: str, amqp_url: str, directory: Simulator, given: dict[str, str]
) -> None:
    entra_sms = EntraSms({"database_url": sqlite_url, "amqp_url": amqp_url, **directory.settings})
    entra_sms(*add(given))
    Book(Database.from_url(sqlite_url), directory.tenant_id).tenant(state="access_failed", state_reason="Expired.")

    ended = entra_sms("tenants", "check")

    assert ended.code == 0
    assert "the worker was told to try again now" in " ".join(ended.out.split())
    assert len(taken(amqp_url, topology.REQUESTS, 4)) == 4


def test_a_secret_of_another_server_key_is_told(entra_sms: EntraSms, given: dict[str, str]) -> None:
    entra_sms(*add(given))
    entra_sms.extra["ENTRA_SMS_SECRET_KEY"] = "another key of the tests, also long enough"

    ended = entra_sms("tenants", "check")

    assert ended.code == 2
    assert "ENTRA_SMS_SECRET_KEY is not the key it was saved with" in ended.words


ERASE = ("tenants", "remove", "Nordwind", "--erase")


class TestRemove:
    """`tenants remove`."""

    def test_it_has_to_be_said_that_everything_is_erased(
        self, entra_sms: EntraSms, given: dict[str, str], sqlite_url: str
    ) -> None:
        entra_sms(*add(given))

        ended = entra_sms("tenants", "remove", "nordwind", "--yes")

        assert ended.code == 2
        assert "entra-sms tenants pause Nordwind           reads nothing any more, and keeps the book" in ended.err
        assert "entra-sms tenants remove Nordwind --erase  erases everything that was read from it" in ended.err
        assert [tenant.state for tenant in saved(sqlite_url)] == [TenantState.ACTIVE]

    def test_rows_and_subscriptions_go(
        self, database_url: str, directory: Simulator, given: dict[str, str], tmp_path: Path
    ) -> None:
        settings = {"database_url": database_url, "amqp_url": NOBODY, "public_url": "https://sync.example"}
        entra_sms = EntraSms({**settings, **directory.settings})
        assert entra_sms(*add(given)).code == 0
        database = Database.from_url(database_url)
        mine = Book(database, directory.tenant_id)
        anna = mine.person("Anna", phone="+48601234567")
        mine.group("Sales", ("user", anna))

        ended = entra_sms(*ERASE, "--yes")

        assert ended.code == 0, ended.err
        assert "Erased Nordwind: 1 contact, 1 group, 1 membership, the credential and all settings.\n" in ended.out
        assert "No subscription of it is left at Graph.\n" in ended.out
        assert saved(database_url) == []
        database.close()

    def test_it_has_to_be_confirmed_by_its_name(
        self, entra_sms: EntraSms, given: dict[str, str], sqlite_url: str
    ) -> None:
        entra_sms(*add(given))

        unattended = entra_sms(*ERASE)
        mistaken = entra_sms.on_terminal(*ERASE, dialogue=[("Type the name", "yes")])
        assert (unattended.code, mistaken.code) == (2, 1)
        assert "--yes" in unattended.err
        assert len(saved(sqlite_url)) == 1

        meant = entra_sms.on_terminal(*ERASE, dialogue=[("Type the name", "nordwind")])
        assert meant.code == 0, meant.out
        assert saved(sqlite_url) == []

    def test_without_graph_it_says_when_subscriptions_expire_and_asks(
        self, entra_sms: EntraSms, given: dict[str, str], sqlite_url: str, directory: Simulator
    ) -> None:
        entra_sms(*add(given))
        directory.control("PUT", "/credentials", {"expired": True})
        expires_at = datetime(2027, 3, 2, 8, 15, tzinfo=UTC)
        Book(Database.from_url(sqlite_url), directory.tenant_id).subscription(Stream.USERS, guid("sub"), expires_at)

        kept = entra_sms.on_terminal(*ERASE, dialogue=[("Type the name", "Nordwind"), ("all the same?", "n")])
        assert kept.code == 4
        assert "Nothing was erased" in kept.out
        assert [tenant.state for tenant in saved(sqlite_url)] == [TenantState.ACTIVE]

        ended = entra_sms(*ERASE, "--yes")
        assert ended.code == 0
        assert "They expire by themselves by 2027-03-02" in ended.words
        assert saved(sqlite_url) == []
