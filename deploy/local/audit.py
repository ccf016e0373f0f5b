"""Is anything known against our dependencies? `python -m deploy.local.audit` asks OSV, over the network.

uv audits a project with a lock file of its own; what is shipped are the versions of `requirements*.txt`. So they are
written down in its form, in a folder that goes away again, and nothing is resolved anew.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.local.paths import ROOT
from deploy.local.pins import DEVELOPMENT, Pin, pins

PYPI = "https://pypi.org/simple"


def audit(found: Sequence[Pin], service_url: str | None = None, registry_url: str = PYPI) -> int:
    """Let uv tell what is known against `found`, on standard output; its status: 0 when that is nothing.

    The service knows of vulnerabilities; the registry, of packages that were archived or put under quarantine.
    """
    with tempfile.TemporaryDirectory(prefix="entra-sms-audit-") as name:
        folder = Path(name)
        _write_project(folder, found, registry_url)
        command = [str(Path(sys.executable).parent / "uv"), "audit", "--frozen", "--no-config"]
        command += ["--preview-features", "audit-command"]
        command += ["--service-url", service_url] if service_url else []
        return subprocess.run(command, cwd=folder, check=False).returncode


def _write_project(folder: Path, found: Sequence[Pin], registry_url: str) -> None:
    """Write what uv takes for a project that depends on exactly these versions."""
    names = ", ".join(f'"{pin.name}"' for pin in found)
    head = 'name = "pinned"\nversion = "0"\n'
    (folder / "pyproject.toml").write_text(f'[project]\n{head}requires-python = ">=3.11"\ndependencies = [{names}]\n')
    needs = ", ".join(f'{{ name = "{pin.name}" }}' for pin in found)
    packages = [f'[[package]]\n{head}source = {{ virtual = "." }}\ndependencies = [{needs}]\n']
    packages += [
        f'[[package]]\nname = "{pin.name}"\nversion = "{pin.version}"\nsource = {{ registry = "{registry_url}" }}\n'
        for pin in found
    ]
    lock = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n' + "\n".join(packages)
    (folder / "uv.lock").write_text(lock)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.audit", description=__doc__)
    parser.add_argument("--service-url", help="ask this service in place of https://api.osv.dev")
    sys.exit(audit(pins(ROOT / DEVELOPMENT), parser.parse_args().service_url))


if __name__ == "__main__":
    main()
