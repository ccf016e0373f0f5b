"""The command line, as a process: what it writes, what it issues, how it stops."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from cryptography import x509

from simulator.certificates import ensure_authority
from simulator.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "simulator", *arguments]


Start = Callable[..., tuple[subprocess.Popen[bytes], dict[str, Any]]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def started(directory: Path) -> Iterator[Start]:
    """Start a simulator process and return it with its announcement."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        log = (directory.parent / "log").open("wb")
        arguments = ("--port", "0", "--state-directory", str(directory), *arguments)
        process = subprocess.Popen(command(*arguments), cwd=REPOSITORY, stderr=log)
        log.close()
        running.append(process)
        deadline = time.monotonic() + 30
        announcement = directory / "simulator.json"
        while not announcement.exists() or json.loads(announcement.read_text())["pid"] != process.pid:
            assert process.poll() is None, (directory.parent / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return process, json.loads(announcement.read_text())

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait()


def ask(announcement: dict[str, Any], path: str) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(announcement["url"] + path, verify=announcement["ca_file"], timeout=10)
        assert answer.ok, answer.text
        return answer.json()


def test_it_announces_itself_when_it_is_ready_and_stops_on_a_signal(started: Start, directory: Path) -> None:
    process, announcement = started("--users", "30", "--groups", "5", "--tenants", "2", "--lively", "5")
    assert ask(announcement, "/control/health") == {"status": "ok", "tenants": 2}
    assert set(announcement["tenants"][0]) == {"tenant_id", "domain", "client_id", "client_secret"}
    assert Path(announcement["ca_file"]) == directory / "ca.pem"
    assert (directory / "simulator.json").stat().st_mode & 0o077 == 0
    assert (directory / "ca.key").stat().st_mode & 0o077 == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0
    log = (directory.parent / "log").read_text()
    assert "Traceback" not in log
    assert announcement["tenants"][0]["client_secret"] not in log


def test_a_restart_keeps_the_authority_the_ids_and_the_secrets(started: Start, directory: Path) -> None:
    first, before = started("--users", "10", "--groups", "0", "--seed", "9")
    authority = (directory / "ca.pem").read_bytes()
    first.send_signal(signal.SIGINT)
    assert first.wait(timeout=5) == 0
    _, after = started("--users", "10", "--groups", "0", "--seed", "9")
    assert (directory / "ca.pem").read_bytes() == authority
    assert after["tenants"] == before["tenants"]


def test_knobs_can_be_set_on_the_command_line(started: Start) -> None:
    knobs = ("--knob", "throttle=0.5", "--knob", "retry_after=date")
    _, announcement = started("--users", "1", "--groups", "0", "--public-host", "localhost", *knobs)
    assert announcement["url"].startswith("https://localhost:")
    settings = ask(announcement, "/control/tenants/default/faults")["settings"]
    assert (settings["throttle"], settings["retry_after"]) == (0.5, "date")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--knob", "throttle=2"], "a number from 0 to 1"),
        (["--knob", "nonsense=2"], "There is no knob"),
        (["--knob", "throttle"], "NAME=VALUE"),
        (["--tenants", "0"], "--tenants"),
        (["--speed", "0"], "speed"),
        (["certificate", "--name", "../ca"], "--name"),
    ],
)
def test_bad_arguments_are_refused_with_a_sentence(directory: Path, arguments: list[str], complaint: str) -> None:
    done = CliRunner().invoke(main, ["--state-directory", str(directory), *arguments])
    assert done.exit_code != 0
    assert complaint in done.stderr
    assert not isinstance(done.exception, ValueError)


def test_the_help_teaches_how_to_begin() -> None:
    done = CliRunner().invoke(main, ["--help"])
    for word in ("simulator.json", "--lively", "random-changes", "certificate", "--seed"):
        assert word in done.stdout


def test_a_certificate_can_be_issued_for_another_process(directory: Path) -> None:
    arguments = ("certificate", "--state-directory", str(directory), "--name", "webhook", "--host", "hook.example")
    done = subprocess.run(command(*arguments), cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(directory / "webhook.pem"), str(directory / "webhook.key")]
    assert (directory / "webhook.key").stat().st_mode & 0o077 == 0
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    assert context.cert_store_stats()["x509_ca"] == 1
    certificate = x509.load_pem_x509_certificate((directory / "webhook.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"hook.example", "localhost"}


def test_processes_that_start_together_agree_on_one_authority(directory: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ensure_authority(directory).certificate.serial_number, range(8)))
    assert len(set(found)) == 1


def test_an_expired_or_broken_authority_is_replaced(directory: Path) -> None:
    first = ensure_authority(directory).certificate
    assert ensure_authority(directory).certificate == first
    (directory / "ca.key").write_text("broken")
    assert ensure_authority(directory).certificate != first
