"""What is kept in the repository names no machine, no registry and no unsafe address."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THIS = Path(__file__).relative_to(ROOT)

BUILD_FILES = [
    "pyproject.toml",
    "requirements.txt",
    "requirements-dev.txt",
    "Makefile",
    ".ci/run",
    "docker-compose.yml",
]
HOME_FOLDER = re.compile(r"(?<![\w.])/(?:home|Users|root|work|mnt|workspace)/[\w.-]+")

HASHED = re.compile(r"^[\w.\[\]-]+==[\w.+!]+( ;.*)? \\$")


@cache
def kept_files() -> list[Path]:
    """Files under version control, and new ones that would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for line in listed.splitlines() if (path := ROOT / line).is_file() and path.relative_to(ROOT) != THIS]


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""  # a picture


def found(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [f"{path.relative_to(ROOT)}: {match}" for path in files for match in pattern.findall(text_of(path))]


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    assert found(HOME_FOLDER, kept_files()) == []


@pytest.mark.parametrize("name", BUILD_FILES)
def test_what_builds_the_project_names_no_registry_and_no_plain_http(name: str) -> None:
    path = ROOT / name
    if not path.exists():
        return
    assert found(re.compile(r"(?:index-url|find-links|extra-index|registry|trusted-host)[ =:]+\S*://\S+"), [path]) == []
    assert found(re.compile(r"http://\S+"), [path]) == []
    assert found(re.compile(r"https?://[^\s/]*(?:pypi|pythonhosted|artifactory|nexus|npmjs)\S*"), [path]) == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.lstrip().startswith("#")]
    pinned = [line for line in lines if not line.startswith(" ")]
    assert pinned
    assert [line for line in pinned if not HASHED.match(line)] == []
    assert all(line.lstrip().startswith("--hash=sha256:") for line in lines if line.startswith(" "))
    assert not (ROOT / "uv.lock").exists()


def test_no_unfinished_place_lands() -> None:
    words = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    assert found(words, [path for path in kept_files() if path.suffix in (".py", ".md", ".toml", ".sh")]) == []
