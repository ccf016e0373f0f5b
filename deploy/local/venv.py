"""The virtual environment `var/venv`: `python3 -m deploy.local.venv` makes it or brings it up to date.

Only what `requirements-dev.txt` pins by hash gets in, and this project itself, which is linked and not copied.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

from deploy.local import packages
from deploy.local.errors import LocalServiceError
from deploy.local.locks import locked
from deploy.local.paths import ROOT, VAR
from deploy.local.runs import say

VENV = VAR / "venv"
STAMP = VENV / ".complete"


def prepare() -> None:
    with locked(VAR / "venv.lock"):
        STAMP.unlink(missing_ok=True)
        if not _has_pip(VENV / "bin" / "python"):
            _create()
        say("Installing the Python packages into var/venv (about 30 s the first time) ...")
        _pip("--require-hashes", "-r", "requirements-dev.txt")
        _pip("--no-deps", "--no-build-isolation", "--no-index", "-e", ".")
        STAMP.touch()


def _create() -> None:
    if importlib.util.find_spec("ensurepip") is None:  # Debian keeps it in a package of its own
        packages.ensure(packages.VENV)
        importlib.invalidate_caches()
    say("Creating the virtual environment var/venv (about 5 s) ...")
    _run([sys.executable, "-m", "venv", "--clear", str(VENV)])


def _has_pip(python: Path) -> bool:
    """Whether the environment works; one whose Python was removed or upgraded away does not."""
    try:
        return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _pip(*arguments: str) -> None:
    _run([str(VENV / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *arguments])


def _run(command: list[str]) -> None:
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise LocalServiceError(f"var/venv could not be made, see above: `{' '.join(command)}` failed.")


if __name__ == "__main__":
    try:
        prepare()
    except LocalServiceError as error:
        sys.exit(str(error))
