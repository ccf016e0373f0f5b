"""The schemas of docs/events, and whether an event is as they say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

FOLDER = Path(__file__).parents[2] / "docs" / "events"


def all_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by the event that they describe."""
    suffix = ".schema.json"
    return {path.name.removesuffix(suffix): json.loads(path.read_text()) for path in FOLDER.glob(f"*{suffix}")}


def see_valid(event: Mapping[str, Any]) -> None:
    """Raise `jsonschema.ValidationError` unless the event is as its schema says."""
    schema = all_schemas()[event["event"]]
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(event)
