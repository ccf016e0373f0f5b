"""Who imports whom, and that importing does nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "webhook", "worker", "console", "simulator")
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts and path.name != "__main__.py"
)

# The webhook's entry builds the application from the settings, so it gets some; that still opens nothing.
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "ENTRA_SMS_SECRET_KEY": "k" * 32}

LIBRARIES = (
    "alembic.command cheroot.wsgi click cryptography.fernet flask gunicorn.workers.gthread msal orjson phonenumbers "
    "pika prometheus_client psycopg pydantic_settings requests rich.console sqlalchemy structlog"
)
"""Imported before the watch begins: what they do is theirs (urllib3 binds a socket to find out about IPv6)."""

WATCHED_IMPORT = """
import importlib, os, sys, threading

FORBIDDEN = {
    "socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system", "sqlite3.connect",
    "os.mkdir", "os.remove", "os.rename", "os.fork",
}
libraries, modules = sys.argv[1].split(), sys.argv[2:]
seen = []

def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event in FORBIDDEN:
        seen.append(f"{event} {arguments}")

for library in libraries:
    importlib.import_module(library)
sys.addaudithook(watch)
for module in modules:
    importlib.import_module(module)
    if threading.active_count() > 1:
        seen.append(f"threads {threading.enumerate()}")
    if seen:
        sys.exit(f"{module}: {seen}")
"""


def test_the_packages_import_in_one_direction() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_opens_nothing_writes_nothing_and_starts_nothing(package: str) -> None:
    modules = [module for module in MODULES if module.partition(".")[0] == package]
    assert modules
    done = fresh_interpreter(WATCHED_IMPORT, LIBRARIES, *modules)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "statement",
    ["import socket; socket.socket().bind(('127.0.0.1', 0))", "open('made', 'w')", "import os; os.mkdir('made')"],
)
def test_the_watch_sees_what_a_module_does_when_it_is_imported(tmp_path: Path, statement: str) -> None:
    (tmp_path / "busy.py").write_text(statement)
    command = [sys.executable, "-c", WATCHED_IMPORT, "json", "busy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "busy: [" in done.stderr


def test_the_webhook_gets_along_without_what_it_must_not_know() -> None:
    done = fresh_interpreter(
        "import sys, webhook.wsgi; "
        "sys.exit(', '.join({'sqlalchemy', 'msal', 'requests', 'alembic', 'psycopg'} & set(sys.modules)) or 0)"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["contacts", "recipients", "groups", "reports"])
def test_a_command_that_reads_the_book_does_not_wait_for_libraries_that_it_has_no_use_for(command: str) -> None:
    done = fresh_interpreter(
        "import importlib, sys, console.cli, console.connection; importlib.import_module(f'console.{sys.argv[1]}'); "
        "sys.exit(', '.join({'alembic', 'msal', 'requests', 'pika', 'flask'} & set(sys.modules)) or 0)",
        command,
    )
    assert done.returncode == 0, done.stderr


def fresh_interpreter(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
