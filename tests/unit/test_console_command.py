"""The command as a whole: its help, its exit codes, how it behaves in pipes and without services."""

import os
import re
import signal
import subprocess
from pathlib import Path

import click
import pytest
from sqlalchemy import text

from common.db.engine import Database
from common.errors import AccessError, BadPageError, BrokerUnavailableError, EntraSmsError, SettingsError
from console import cli
from console.exits import ConsoleError, Exit, code_of
from tests.support.book import book
from tests.support.console import EntraSms

DOCUMENT = Path(__file__).parents[2] / "docs" / "console.md"


@pytest.fixture
def entra_sms(tmp_path: Path) -> EntraSms:
    return EntraSms({"database_url": f"sqlite:///{tmp_path}/new/book.sqlite", "amqp_url": "amqp://127.0.0.1:1"})


def commands(group: click.Group, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    context = click.Context(group, **group.context_settings)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append(((*words, name), command))
        if isinstance(command, click.Group):
            found += commands(command, (*words, name))
    return found


EVERY_COMMAND = commands(cli.entra_sms)


def test_the_help_teaches_the_first_steps(entra_sms: EntraSms) -> None:
    ended = entra_sms("--help")

    for words in (
        "tenants add",
        "sync --full --wait",
        "contacts list",
        "ENTRA_SMS_SECRET_KEY",
        "environment variables",
    ):
        assert words in " ".join(ended.out.split())
    assert entra_sms("-h") == ended


def test_the_version_is_told(entra_sms: EntraSms) -> None:
    assert re.fullmatch(r"entra-sms \d+\.\d+\.\d+\S*\n", entra_sms("--version").out)


@pytest.mark.parametrize("words", [" ".join(words) for words, _ in EVERY_COMMAND])
def test_every_command_explains_itself_with_an_example(entra_sms: EntraSms, words: str) -> None:
    ended = entra_sms(*words.split(), "--help")

    assert ended.code == 0
    assert re.search(rf"Examples?:\s+entra-sms {words}", ended.out)
    assert max(len(line) for line in ended.out.splitlines()) <= 80


def test_help_needs_no_settings(entra_sms: EntraSms) -> None:
    entra_sms.extra["ENTRA_SMS_POLL_SECONDS"] = "soon"

    assert entra_sms("sync", "--help").code == 0


@pytest.mark.parametrize(
    ("typed", "offer"), [("tenant", "Did you mean 'tenants'?"), ("xyzzy", "There are: tenants, sync, status")]
)
def test_an_unknown_command_is_answered_with_the_nearest(entra_sms: EntraSms, typed: str, offer: str) -> None:
    ended = entra_sms(typed)

    assert ended.code == 2
    assert offer in ended.words


def test_wrong_settings_are_told_in_sentences(entra_sms: EntraSms) -> None:
    entra_sms.extra |= {"ENTRA_SMS_POLL_SECONDS": "soon", "ENTRA_SMS_DATABSE_URL": "x"}

    ended = entra_sms("tenants", "list")

    assert ended.code == 2
    assert "ENTRA_SMS_POLL_SECONDS" in ended.err
    assert "Did you mean ENTRA_SMS_DATABASE_URL?" in ended.words
    assert "Traceback" not in ended.err


def test_a_missing_server_key_is_told(entra_sms: EntraSms) -> None:
    entra_sms("tenants", "list")
    entra_sms.extra["ENTRA_SMS_SECRET_KEY"] = ""
    with book(entra_sms.settings["database_url"]):
        ended = entra_sms("tenants", "check")

    assert ended.code == 2
    assert "openssl rand -hex 32" in ended.words


def test_a_database_that_cannot_be_made_is_told(entra_sms: EntraSms, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    entra_sms.extra["ENTRA_SMS_DATABASE_URL"] = f"sqlite:///{tmp_path}/file/book.sqlite"

    ended = entra_sms("tenants", "list")

    assert ended.code == 2
    assert "book.sqlite cannot be made" in ended.words


def test_a_database_of_a_newer_version_is_left_alone(entra_sms: EntraSms) -> None:
    entra_sms("tenants", "list")
    database = Database.from_url(entra_sms.settings["database_url"])
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()

    ended = entra_sms("tenants", "list")

    assert ended.code == 2
    assert "made by a newer one" in ended.words


def test_a_reader_that_goes_away_is_no_error(entra_sms: EntraSms) -> None:
    entra_sms("tenants", "list")
    with book(entra_sms.settings["database_url"]) as contoso:
        for count in range(30):
            contoso.person(f"Person {count}")
    process = entra_sms.start("contacts", "export", "--format", "json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()

    assert process.wait(30) == 141
    assert err == ""


def test_being_ended_is_quiet(entra_sms: EntraSms) -> None:
    entra_sms("tenants", "list")
    reader, writer = os.pipe()
    with book(entra_sms.settings["database_url"]):
        process = entra_sms.start("tenants", "add", "--client-secret-file", "-", stdin=reader)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    os.close(reader)
    os.close(writer)

    assert process.returncode == 143
    assert err == ""


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_letters_that_a_terminal_lacks_are_no_error(entra_sms: EntraSms, encoding: str) -> None:
    entra_sms("tenants", "list")
    with book(entra_sms.settings["database_url"]) as contoso:
        contoso.person("Łukasz")
    entra_sms.extra["PYTHONIOENCODING"] = encoding

    listed, exported = entra_sms.run("contacts", "list"), entra_sms.run("contacts", "export")

    assert "?ukasz" in listed.out
    assert "Łukasz" in exported.out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConsoleError("x"), Exit.FAILED),
        (ConsoleError("x", Exit.TIMED_OUT), Exit.TIMED_OUT),
        (SettingsError("x"), Exit.USAGE),
        (AccessError("x", "y", "z"), Exit.ACCESS_REFUSED),
        (BrokerUnavailableError("x"), Exit.UNREACHABLE),
        (BadPageError("x"), Exit.UNREACHABLE),
        (EntraSmsError("x"), Exit.FAILED),
    ],
)
def test_every_error_has_its_exit_code(error: EntraSmsError, code: Exit) -> None:
    assert code_of(error) is code


def test_the_document_names_every_command_option_and_exit_code() -> None:
    document = DOCUMENT.read_text()

    for words, command in EVERY_COMMAND:
        if not isinstance(command, click.Group):
            assert f"entra-sms {' '.join(words)}" in document
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert f"`{parameter.opts[-1]}" in document, f"{words} {parameter.opts}"
    for code in Exit:
        assert f"| {code.value} |" in document
