"""The README is true: its commands are run as they stand there, against the whole system."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.system import System
from tests.support.whole_system import await_subscriptions

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def _block_with(word: str) -> str:
    """Return the one code block that has this word."""
    (block,) = [block for block in BLOCKS if word in block]
    return block


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_commands_of_the_readme_connect_a_tenant_and_export_its_people(system: System, tmp_path: Path) -> None:
    system.start_simulator(users=60, groups=8, seed=1)
    system.start_webhook()
    system.start_worker()
    (tmp_path / "secret.txt").write_text(system.simulated().client_secret)

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _block_with("entra-sms tenants add")],
        cwd=tmp_path,
        env=system.environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    people = list(csv.DictReader(io.StringIO(done.stdout[done.stdout.index("object_id,") :])))
    assert {row["object_id"] for row in people} == {user["id"] for user in system.simulated().directory()["users"]}
    await_subscriptions(system)


def test_the_processes_of_the_readme_are_those_that_the_tests_start() -> None:
    started = (ROOT / "deploy" / "local" / "system.py").read_text(encoding="utf-8")
    for command in _block_with("gunicorn").splitlines():
        for word in command.removeprefix("python ").split():
            assert f'"{word}"' in started, command
