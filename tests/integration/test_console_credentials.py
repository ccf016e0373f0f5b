"""Credentials of a tenant: certificates beside secrets, and a change of which nobody notices anything."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from common.config import load
from common.db import tenants
from common.db.engine import Database
from common.db.tables import tenants as tenants_table
from common.db.tenants import Tenant, TenantState
from common.graph.credentials import ClientCertificate, ClientSecret, Credential
from common.secrets import Vault
from console import rotation
from tests.support.book import SECRET_KEY, Book
from tests.support.certificates import SelfSigned, self_signed
from tests.support.console import EntraSms
from tests.support.simulated import Simulator, simulator

NEW = "new~secret-of.the.tests"


@pytest.fixture(scope="module")
def _simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator(tmp_path_factory.mktemp("simulator")) as running:
        yield running


@pytest.fixture
def directory(_simulator: Simulator) -> Iterator[Simulator]:
    yield _simulator
    first = {"client_secret": _simulator.client_secret, "expired": False, "delete_certificates": True}
    _simulator.control("PUT", "/credentials", first)
    _simulator.control("PUT", "/permissions", {"roles": ["User.Read.All", "Group.Read.All", "GroupMember.Read.All"]})
    _simulator.control("POST", "/faults/reset")


@pytest.fixture
def entra_sms(sqlite_url: str, amqp_url: str, directory: Simulator) -> EntraSms:
    return EntraSms({"database_url": sqlite_url, "amqp_url": amqp_url, **directory.settings})


@pytest.fixture
def certificate(tmp_path: Path) -> SelfSigned:
    made = self_signed()
    made.written(tmp_path / "certificate.pem")
    return made


@dataclass
class Stored:
    """The one tenant in the database."""

    database_url: str

    @property
    def tenant(self) -> Tenant:
        database = Database.from_url(self.database_url)
        try:
            with database.read() as connection:
                (found,) = tenants.find(connection, "*")
                return found
        finally:
            database.close()

    @property
    def credential(self) -> Credential:
        return self.tenant.credentials(Vault(load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY}))).credential


@pytest.fixture
def stored(sqlite_url: str) -> Stored:
    return Stored(sqlite_url)


def add(directory: Simulator, *more: str) -> list[str]:
    identity = ["--tenant-id", directory.tenant_id, "--client-id", directory.client_id, "--name", "Nordwind"]
    return ["tenants", "add", *identity, "--agreement-reference", "A-1", "--agreement-date", "2026-01-02", *more]


@pytest.fixture
def _added(entra_sms: EntraSms, directory: Simulator) -> None:
    """The tenant, with the first secret."""
    ended = entra_sms(*add(directory, "--client-secret-file", "-"), stdin=directory.client_secret)
    assert ended.code == 0, ended.err


def file(folder: Path, content: bytes | str) -> str:
    path = folder / "given"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


class TestCertificate:
    """A tenant that signs in with a certificate."""

    def test_it_is_saved_when_it_works_and_tells_when_it_expires(
        self, entra_sms: EntraSms, directory: Simulator, certificate: SelfSigned, stored: Stored, tmp_path: Path
    ) -> None:
        directory.control("PUT", "/credentials", {"certificate_pem": certificate.pem.decode()})

        ended = entra_sms(*add(directory, "--certificate-file", str(tmp_path / "certificate.pem")))

        assert ended.code == 0, ended.err
        assert "✓ sign-in" in ended.err
        assert stored.credential == ClientCertificate(certificate.pem.decode(), certificate.key_pem().decode())
        expires_at = certificate.certificate.not_valid_after_utc
        assert stored.tenant.credential_expires_at == expires_at
        assert entra_sms("tenants", "check").code == 0
        shown, listed = entra_sms("tenants", "show").out, entra_sms("tenants", "list").out
        thumbprint = ClientCertificate(certificate.pem.decode(), "").thumbprint
        assert f"certificate {thumbprint}, stored encrypted; it is never shown" in " ".join(shown.split())
        assert f"Expires {expires_at.date()}, in 60 days" in " ".join(shown.split())
        assert f"certificate {expires_at.date()}" in " ".join(listed.split())
        secret_lines = certificate.key_pem().decode().splitlines()[1:-1]
        assert not [line for line in secret_lines if line in ended.out + ended.err + shown + listed]

    def test_one_that_is_not_registered_is_refused_and_nothing_is_saved(
        self, entra_sms: EntraSms, directory: Simulator, certificate: SelfSigned, tmp_path: Path
    ) -> None:
        ended = entra_sms(*add(directory, "--certificate-file", str(tmp_path / "certificate.pem")))

        assert ended.code == 3
        assert "The certificate is not accepted. [AADSTS700027]" in ended.words
        assert "Nothing was saved." in ended.words
        assert "There is no tenant yet" in entra_sms("tenants", "list").words

    def test_its_password_is_asked_for_on_a_terminal(
        self, entra_sms: EntraSms, directory: Simulator, certificate: SelfSigned, stored: Stored, tmp_path: Path
    ) -> None:
        directory.control("PUT", "/credentials", {"certificate_pem": certificate.pem.decode()})
        pfx = file(tmp_path, certificate.pfx(b"open sesame"))

        ended = entra_sms.on_terminal(
            *add(directory, "--certificate-file", pfx),
            dialogue=[("Password of", "open barley"), ("Password of", "open sesame")],
        )

        assert ended.code == 0, ended.out
        assert "That is not its password." in ended.out
        assert "open sesame" not in ended.out
        assert stored.credential.kind == "certificate"

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--certificate-file", "a", "--client-secret-file", "b"], "a client secret or a certificate, not both"),
            (["--certificate-file", "a", "--expires", "2101-01-01"], "A certificate tells by itself when it expires"),
            (["--certificate-key-file", "a"], "A key and a password go with a certificate"),
            (["--certificate-password-file", "a"], "A key and a password go with a certificate"),
            (["--certificate-password", "x"], "Use --certificate-password-file PATH"),
            (["--certificate-file", "/nowhere"], "--certificate-file: '/nowhere' cannot be read"),
        ],
    )
    def test_what_does_not_go_together_is_told(
        self, entra_sms: EntraSms, directory: Simulator, options: list[str], words: str
    ) -> None:
        for command in (add(directory), ["tenants", "credential"]):
            ended = entra_sms(*command, *options)
            assert ended.code == 2
            assert words in ended.words

    def test_without_either_both_are_offered(self, entra_sms: EntraSms, directory: Simulator) -> None:
        ended = entra_sms(*add(directory))
        assert ended.code == 2
        assert "--client-secret-file" in ended.words
        assert "or --certificate-file" in ended.words


@pytest.mark.usefixtures("_added")
class TestChange:
    """`tenants credential`."""

    def test_a_new_secret_replaces_the_old_one_when_it_works(
        self, entra_sms: EntraSms, directory: Simulator, stored: Stored, tmp_path: Path
    ) -> None:
        directory.control("PUT", "/credentials", {"new_client_secret": NEW})

        options = ("--client-secret-file", file(tmp_path, f"{NEW}\n"), "--expires", "2101-02-03")
        ended = entra_sms("tenants", "credential", "Nordwind", *options)

        assert ended.code == 0, ended.err
        assert "✓ GroupMember.Read.All" in ended.err
        assert "Nordwind signs in with its new client secret from now on." in ended.out
        assert "The former client secret is not used any more: delete it in Entra" in " ".join(ended.out.split())
        assert "The worker was told." in ended.out
        assert stored.credential == ClientSecret(NEW)
        assert stored.tenant.credential_expires_at == datetime(2101, 2, 3, tzinfo=UTC)
        assert NEW not in ended.out + ended.err

    def test_a_certificate_replaces_a_secret(
        self, entra_sms: EntraSms, directory: Simulator, certificate: SelfSigned, stored: Stored, tmp_path: Path
    ) -> None:
        directory.control("PUT", "/credentials", {"certificate_pem": certificate.pem.decode()})

        ended = entra_sms("tenants", "credential", "--certificate-file", str(tmp_path / "certificate.pem"))

        assert ended.code == 0, ended.err
        assert "The former client secret is not used any more" in ended.out
        assert stored.credential.kind == "certificate"

    def test_one_that_entra_does_not_know_yet_is_tried_again_until_several_sign_ins_have_worked(
        self,
        entra_sms: EntraSms,
        directory: Simulator,
        stored: Stored,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(rotation, "PAUSE_SECONDS", 0.05)
        directory.control("PUT", "/credentials", {"new_client_secret": NEW})
        directory.control("PUT", "/faults", {"unknown_new_credential_next": 3})

        ended = entra_sms("tenants", "credential", "--client-secret-file", file(tmp_path, NEW))

        assert ended.code == 0, ended.err
        assert directory.fired()["unknown_new_credential_next"] == 3
        assert "Entra does not know the new client secret [AADSTS7000215]" in ended.words
        assert "the old one stays in use" in ended.words
        assert stored.credential == ClientSecret(NEW)

    def test_it_is_proven_by_three_sign_ins_in_a_row_besides_the_check(
        self, entra_sms: EntraSms, directory: Simulator, tmp_path: Path
    ) -> None:
        directory.control("PUT", "/credentials", {"new_client_secret": NEW})

        def sign_ins() -> int:
            by_status = directory.control("GET", "/statistics")["requests"]["POST /<tenant>/oauth2/v2.0/token"]
            return int(by_status["200"])

        before = sign_ins()
        assert entra_sms("tenants", "credential", "--client-secret-file", file(tmp_path, NEW)).code == 0
        assert sign_ins() == before + 3 + 1

    @pytest.mark.parametrize("trouble", ["unknown", "permission", "unreachable"])
    def test_while_the_new_one_does_not_work_the_old_one_stays(
        self, entra_sms: EntraSms, directory: Simulator, stored: Stored, tmp_path: Path, trouble: str
    ) -> None:
        before = stored.tenant
        if trouble == "permission":
            directory.control("PUT", "/credentials", {"new_client_secret": NEW})
            directory.control("PUT", "/permissions", {"roles": ["User.Read.All"]})
        if trouble == "unreachable":
            directory.control("PUT", "/faults", {"server_error_login": 1.0})

        new = file(tmp_path, NEW)
        ended = entra_sms("tenants", "credential", "--client-secret-file", new, "--patience", "0")

        assert ended.code == (4 if trouble == "unreachable" else 3)
        assert "Nothing was changed: the old credential stays in use." in ended.words
        assert stored.tenant == before
        assert stored.credential == ClientSecret(directory.client_secret)

    def test_what_was_told_of_the_old_one_is_forgotten_and_its_access_is_tried_again(
        self, entra_sms: EntraSms, directory: Simulator, stored: Stored, sqlite_url: str, tmp_path: Path
    ) -> None:
        book = Book(Database.from_url(sqlite_url), directory.tenant_id)
        soon = datetime.now(UTC) + timedelta(days=1)
        book.tenant(state="access_failed", state_reason="It.", credential_expires_at=soon, expiry_told_days=1)
        directory.control("PUT", "/credentials", {"new_client_secret": NEW})

        assert entra_sms("tenants", "credential", "--client-secret-file", file(tmp_path, NEW)).code == 0

        tenant = stored.tenant
        assert (tenant.state, tenant.state_reason) == (TenantState.ACTIVE, None)
        with book.database.read() as connection:
            assert connection.scalar(select(tenants_table.c.expiry_told_days)) is None
        assert tenant.credential_expires_at is None

    def test_a_paused_tenant_stays_paused(
        self, entra_sms: EntraSms, directory: Simulator, stored: Stored, tmp_path: Path
    ) -> None:
        assert entra_sms("tenants", "pause", "Nordwind", "--reason", "it moves").code == 0
        directory.control("PUT", "/credentials", {"new_client_secret": NEW})

        assert entra_sms("tenants", "credential", "--client-secret-file", file(tmp_path, NEW)).code == 0

        assert (stored.tenant.state, stored.tenant.state_reason) == (TenantState.PAUSED, "it moves")
        assert stored.credential == ClientSecret(NEW)

    def test_when_it_expires_can_be_noted_alone(self, entra_sms: EntraSms, stored: Stored) -> None:
        ended = entra_sms("tenants", "credential", "--expires", "2101-02-03")

        assert ended.code == 0, ended.err
        assert stored.tenant.credential_expires_at == datetime(2101, 2, 3, tzinfo=UTC)
        assert "Expires 2101-02-03, in" in " ".join(entra_sms("tenants", "show").out.split())

    @pytest.mark.parametrize("day", ["2001-01-01", "tomorrow", ""])
    def test_a_day_that_is_over_or_none_is_refused(self, entra_sms: EntraSms, stored: Stored, day: str) -> None:
        ended = entra_sms("tenants", "credential", "--expires", day)

        assert ended.code == 2
        assert "--expires" in ended.words
        assert stored.tenant.credential_expires_at is None

    def test_with_nothing_to_change_it_says_what_it_wants(self, entra_sms: EntraSms) -> None:
        ended = entra_sms("tenants", "credential")
        assert ended.code == 2
        assert "--client-secret-file PATH or --certificate-file PATH" in ended.words


@pytest.mark.usefixtures("_added")
class TestExpiry:
    """What is shown of the end of a credential."""

    @pytest.mark.parametrize(
        ("left", "is_trouble"),
        [
            (timedelta(days=31), False),
            (timedelta(days=29), False),
            (timedelta(days=6), True),
            (timedelta(days=-1), True),
        ],
        ids=str,
    )
    def test_the_status_shows_it_and_calls_it_a_trouble_a_week_before(
        self,
        entra_sms: EntraSms,
        directory: Simulator,
        sqlite_url: str,
        left: timedelta,
        is_trouble: bool,
    ) -> None:
        at = datetime.now(UTC) + left
        Book(Database.from_url(sqlite_url), directory.tenant_id).tenant(credential_expires_at=at)
        [tenant] = json.loads(entra_sms("status", "--json").out)["tenants"]
        told = [trouble for trouble in tenant["troubles"] if trouble.startswith("The credential expire")]
        assert len(told) == is_trouble
        assert not told or told[0].endswith("give it with: entra-sms tenants credential Nordwind")
        shown = " ".join(entra_sms("status").out.split())
        assert f"credential expires {at.date()}" in shown


@pytest.mark.usefixtures("_added")
class TestCloud:
    """`tenants add --cloud`."""

    def test_a_tenant_is_put_into_a_cloud_and_back(
        self, entra_sms: EntraSms, directory: Simulator, stored: Stored
    ) -> None:
        elsewhere = directory.url.replace("127.0.0.1", "localhost")
        entra_sms.extra["ENTRA_SMS_CLOUDS"] = f"second={elsewhere},{elsewhere}"
        change = ["tenants", "add", "--tenant-id", directory.tenant_id, "--cloud"]

        ended = entra_sms(*change, "Second")
        assert ended.code == 0, ended.err
        assert f"Access to Nordwind at {elsewhere}:" in ended.err
        assert stored.tenant.cloud == "second"
        assert f"Cloud second: {elsewhere}" in " ".join(entra_sms("tenants", "show").out.split())

        renamed = entra_sms("tenants", "add", "--tenant-id", directory.tenant_id, "--name", "Nordwind AG")
        assert (renamed.code, stored.tenant.cloud) == (0, "second")

        assert entra_sms(*change, "default").code == 0
        assert stored.tenant.cloud is None
        assert f"Cloud default: {directory.url}" in " ".join(entra_sms("tenants", "show").out.split())

    def test_a_cloud_that_nobody_knows_is_refused_with_those_there_are(
        self, entra_sms: EntraSms, directory: Simulator, stored: Stored
    ) -> None:
        ended = entra_sms("tenants", "add", "--tenant-id", directory.tenant_id, "--cloud", "mars")
        assert ended.code == 2
        assert "There is no cloud 'mars'. There are default, global, usgov, usgov-dod, china" in ended.words
        assert stored.tenant.cloud is None

    def test_a_tenant_whose_cloud_is_named_no_more_is_shown_with_what_to_do(
        self, entra_sms: EntraSms, directory: Simulator, sqlite_url: str
    ) -> None:
        Book(Database.from_url(sqlite_url), directory.tenant_id).tenant(cloud="mars")
        assert "ENTRA_SMS_CLOUDS names further ones" in entra_sms("tenants", "show").out
        ended = entra_sms("tenants", "check")
        assert (ended.code, "There is no cloud 'mars'" in ended.words) == (2, True)
