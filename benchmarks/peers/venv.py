"""The virtual environment of the peers, below `var/`: made when it is first needed, apart from the product's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from common.graph.resources import SELECT
from deploy.local.errors import LocalServiceError
from deploy.local.locks import locked
from deploy.local.paths import ROOT, VAR
from deploy.local.runs import say

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
VENV = VAR / "benchmarks-peers"
_PROGRAMS = {"dlt": "dlt_pull.py", "msgraph-sdk": "msgraph_pull.py"}


def prepare() -> Path:
    """Return the environment's Python.

    Raises:
        LocalServiceError: the packages cannot be had.
    """
    python, stamp = VENV / "bin" / "python", VENV / ".installed"
    with locked(VAR / "benchmarks-peers.lock"):
        if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
            say("Installing what the worker is compared with into var/benchmarks-peers (about a minute) ...")
            _run(sys.executable, "-m", "venv", "--clear", str(VENV))
            _run(
                str(python),
                "-m",
                "pip",
                "install",
                "-qq",
                "--disable-pip-version-check",
                "--require-hashes",
                "-r",
                str(REQUIREMENTS),
            )
            stamp.write_text(REQUIREMENTS.read_text())
    return python


def command(peer: str) -> Sequence[str]:
    """Return the words after `python` that let a peer pull what the worker reads."""
    return [str(HERE / _PROGRAMS[peer]), *(f"{stream}={','.join(names)}" for stream, names in SELECT.items())]


def _run(*words: str) -> None:
    if subprocess.run(words, cwd=ROOT, check=False).returncode != 0:
        raise LocalServiceError(f"The peers' environment could not be made, see above: `{' '.join(words)}` failed.")
