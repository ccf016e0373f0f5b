"""Who gets hold of the database, its files or a backup of it, does not get hold of a customer's credentials."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from common.config import load
from common.db.tables import metadata, tenants
from common.db.tenants import seal_credential
from common.errors import SettingsError
from common.graph.credentials import ClientCertificate, ClientSecret
from common.secrets import Vault
from deploy.local.postgres import Cluster
from deploy.local.runs import Run
from tests.support.bench import Bench, settings
from tests.support.book import SECRET_KEY, Book, add_tenant, book
from tests.support.certificates import self_signed
from tests.support.eventually import eventually
from tests.support.searching import files_below, holding, holds
from worker.clients import Clients

OTHER_KEY = "another key of the tests, of 32 characters or more"


@dataclass
class Stored:
    """A tenant in a database, and the folder with all files of that database."""

    book: Book
    folder: Path
    secret: str
    control: str
    """Stored next to the secret, in plain: whoever searches the files has to find it."""

    def flush(self) -> None:
        """Let the database write all that it knows into its main files, too."""
        on_postgresql = self.book.database.engine.dialect.name == "postgresql"
        connection = self.book.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        with connection:
            connection.exec_driver_sql("CHECKPOINT" if on_postgresql else "PRAGMA wal_checkpoint(FULL)")


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest, tmp_path: Path, local_run: Run) -> Iterator[Stored]:
    url: str = request.getfixturevalue(f"{request.param}_url")
    if request.param == "postgresql":
        assert isinstance(request.getfixturevalue("postgres_server"), Cluster)
    folder = tmp_path if request.param == "sqlite" else local_run.directory / "postgres" / "data"
    secret, control = (f"{word}~{secrets.token_hex(20)}" for word in ("secret", "control"))
    sealed = seal_credential(Vault(load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY})), ClientSecret(secret))
    with book(url) as found:
        with found.database.write() as connection:
            tenant_id = add_tenant(connection, control, None, sealed_credential=sealed)
        yield Stored(Book(found.database, tenant_id), folder, secret, control)


def test_no_file_of_the_database_holds_a_client_secret(stored: Stored) -> None:
    def found_in(*, log: bool) -> list[Path]:
        return [path for path in holding(files_below(stored.folder), stored.control) if ("wal" in str(path)) is log]

    eventually(lambda: found_in(log=True), what="the control value in the write-ahead log")
    assert holding(files_below(stored.folder), stored.secret) == []
    stored.flush()
    eventually(lambda: found_in(log=False), what="the control value in the main files")
    assert holding(files_below(stored.folder), stored.secret) == []
    assert holding(files_below(stored.folder), SECRET_KEY) == []


def test_no_backup_of_the_rows_holds_a_client_secret(stored: Stored) -> None:
    with stored.book.database.read() as connection:
        rows = [str(connection.execute(select(table)).all()) for table in metadata.sorted_tables]
    dump = "\n".join(rows).encode()
    assert holds(dump, stored.control)
    assert not holds(dump, stored.secret)


def test_no_backup_of_the_rows_holds_a_private_key(stored: Stored) -> None:
    made = self_signed()
    certificate = ClientCertificate(made.pem.decode(), made.key_pem().decode())
    vault = Vault(load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY}))
    stored.book.tenant(credential=seal_credential(vault, certificate))
    with stored.book.database.read() as connection:
        dump = str(connection.execute(select(tenants)).all()).encode()
    body = made.key_pem().decode().splitlines()[1:-1]
    assert holds(dump, stored.control)
    assert not [line for line in [*body, *made.pem.decode().splitlines()[1:-1]] if holds(dump, line)]
    assert holds(certificate.private_key_pem.encode(), body[0])


def test_a_backup_without_its_key_opens_nothing_and_says_so(stored: Stored) -> None:
    known: dict[str, Any] = {"secret_key": OTHER_KEY}
    bench = Bench(stored.book, settings=settings(**known), clients=Clients(settings(**known)))
    with pytest.raises(SettingsError) as caught:
        bench.advance()
    with stored.book.database.read() as connection:
        row = connection.execute(select(tenants).where(tenants.c.tenant_id == stored.book.tenant_id)).mappings().one()
    assert (row["state"], row["state_code"], row["state_reason"]) == ("access_failed", "credential", str(caught.value))
    assert "ENTRA_SMS_SECRET_KEY is not the key it was saved with" in row["state_reason"]
    assert not holds(str(dict(row)).encode(), OTHER_KEY)


@pytest.mark.parametrize("form", ["plain", "utf-16", "hex", "base64", "base64 within"])
def test_the_search_finds_a_secret_in_every_form(form: str) -> None:
    secret = "a-secret~of.the_tests"
    written = {
        "plain": secret.encode(),
        "utf-16": secret.encode("utf-16-le"),
        "hex": secret.encode().hex().encode(),
        "base64": base64.b64encode(secret.encode()),
        "base64 within": base64.b64encode(b'{"client_secret": "' + secret.encode() + b'"}'),
    }[form]
    assert holds(b"before" + written + b"after", secret)
    assert not holds(written, "another-secret~of.the_tests")
