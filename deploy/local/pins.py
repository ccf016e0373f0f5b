"""The pinned dependencies: `python -m deploy.local.pins` tells where they disagree with what `pyproject.toml` asks for.

It needs no network. Whether a newer version exists, or anything is known against one of them, is asked by `audit`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.local.paths import ROOT

RUN_TIME, DEVELOPMENT = "requirements.txt", "requirements-dev.txt"

_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;\\]+)(?P<rest>(?:.*\\\n)*.*)$", re.MULTILINE
)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Pin:
    """One version of one package, and how many files of it are allowed."""

    name: str
    version: str
    hashes: int


def pins(file: Path) -> list[Pin]:
    """Return what a requirements file pins."""
    return [
        Pin(canonicalize_name(found["name"]), found["version"], len(_HASH.findall(found["rest"])))
        for found in _PIN.finditer(file.read_text())
    ]


def troubles(folder: Path = ROOT) -> list[str]:
    """Return a sentence for each thing that is wrong; nothing when all is well."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    run_time = project["project"]["dependencies"]
    development = [one for one in project["dependency-groups"]["dev"] if isinstance(one, str)]
    found = [*_of_file(folder / RUN_TIME, run_time), *_of_file(folder / DEVELOPMENT, [*run_time, *development])]
    tested = {pin.name: pin.version for pin in pins(folder / DEVELOPMENT)}
    found += [
        f"{RUN_TIME} pins {pin.name} {pin.version}, but {DEVELOPMENT} {tested.get(pin.name)}."
        for pin in pins(folder / RUN_TIME)
        if tested.get(pin.name) != pin.version
    ]
    return found


def _of_file(file: Path, asked: list[str]) -> list[str]:
    found = []
    versions = {pin.name: pin.version for pin in pins(file)}
    for text in asked:
        wanted = Requirement(text)
        version = versions.get(canonicalize_name(wanted.name))
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            found.append(f"{file.name} pins {version or 'nothing'} where pyproject.toml asks for {text}.")
    found += [f"{file.name} pins {pin.name} without a hash." for pin in pins(file) if not pin.hashes]
    lines = [line for line in file.read_text().splitlines() if line and line[0] not in " #"]
    if len(lines) != len(versions):
        found.append(f"{file.name} has lines that pin no version, or one package twice.")
    return found


def main() -> None:
    found = troubles()
    for one in found:
        print(one, file=sys.stderr)
    if found:
        print("`make lock` makes the files anew.", file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
