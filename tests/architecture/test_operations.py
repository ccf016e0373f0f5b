"""docs/operations.md against the code: the commands to be typed, and the size of its pictures."""

import re
from pathlib import Path

from common.commands import Verb, decode_command

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
IMAGES = ROOT / "docs" / "images"
LARGEST_BYTES = 60_000


def test_every_command_is_described_and_can_be_typed_as_it_stands() -> None:
    typed = re.findall(r'`(\{"command".*?\})`', OPERATIONS)
    assert {decode_command(command.encode(), "id").verb for command in typed} == set(Verb)


def test_its_pictures_are_small_and_all_are_shown() -> None:
    shown = set(re.findall(r"\]\(images/([\w-]+\.png)\)", OPERATIONS))
    assert {path.name for path in IMAGES.iterdir()} == shown
    assert max(path.stat().st_size for path in IMAGES.iterdir()) < LARGEST_BYTES
