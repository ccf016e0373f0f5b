"""docs/settings.md and deploy/env.example say what the settings table says, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from common.config import PREFIX, SECRET_NAMES, Settings, load

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/settings.md").read_text()
EXAMPLE = (ROOT / "deploy/env.example").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
ASSIGNMENTS = dict(re.findall(r"^#?(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
NAMES = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]


def default_text(variable: str) -> str:
    """The default as a person would write it into the environment."""
    value: Any = Settings.model_fields[variable.removeprefix(PREFIX).lower()].default
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value)
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)


def test_every_setting_has_a_heading_and_every_heading_is_a_setting() -> None:
    assert sorted(SECTIONS) == sorted(NAMES)
    assert DOCUMENT.count("\n### ") == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_its_section_gives_the_default_and_who_uses_it(name: str) -> None:
    section = SECTIONS[name].strip()
    default = default_text(name)
    assert section.startswith(f"Default: `{default}`." if default else ("Default: empty.", "Default: none; needed."))
    assert "Used by: " in section.splitlines()[0]
    assert len(section.split("\n\n")) >= 2, "a sentence about what it does is missing"


@pytest.mark.parametrize("name", NAMES)
def test_its_section_names_the_file_variant_exactly_for_secrets(name: str) -> None:
    is_secret = name.removeprefix(PREFIX).lower() in SECRET_NAMES
    assert (f"`{name}_FILE`" in SECTIONS[name]) == is_secret
    assert SECTIONS[name].splitlines()[1].count("Secret;") == is_secret


@pytest.mark.parametrize("name", NAMES)
def test_its_section_gives_the_range_of_a_number(name: str) -> None:
    bounds = Settings.model_fields[name.removeprefix(PREFIX).lower()].metadata
    for bound in bounds:
        for end in ("ge", "le"):
            if (number := getattr(bound, end, None)) is not None:
                assert re.search(rf"(?<![\d.,]){number:,g}(?![\d,])", SECTIONS[name].replace(".\n", "\n"))


def test_every_variable_that_is_mentioned_exists() -> None:
    files = [f"{PREFIX}{name.upper()}_FILE" for name in SECRET_NAMES]
    documents = [path.read_text() for path in (ROOT / "docs").rglob("*.md")]
    mentioned = set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]", "\n".join([*documents, EXAMPLE])))
    assert mentioned <= {*NAMES, *files, "ENTRA_SMS_AMQP_MANAGEMENT_URL"}


def test_the_example_lists_every_setting_once_with_its_default() -> None:
    assert {name: default_text(name) for name in NAMES} == ASSIGNMENTS
    assert len(re.findall(r"^#?\w+=", EXAMPLE, re.MULTILINE)) == len(NAMES)


def test_the_example_works_when_every_line_is_taken() -> None:
    assert load(ASSIGNMENTS) == Settings()
