"""docs/events and docs/events.md describe the events that there are, each by a schema that is one."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.support.event_schemas import all_schemas, see_valid
from worker.book import KINDS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
SCHEMAS = all_schemas()
EXAMPLES = [json.loads(body) for body in re.findall(r"^```json\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)]


def test_every_kind_of_change_and_both_ends_of_a_snapshot_have_a_schema_and_nothing_else_has() -> None:
    assert set(SCHEMAS) == {*KINDS, "snapshot.began", "snapshot.ended"}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_schema_is_one_and_is_named_after_its_event_and_shown(kind: str) -> None:
    schema = SCHEMAS[kind]
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["event"] == {"const": kind}
    assert schema["title"] == kind
    assert f"events/{kind}.schema.json" in DOCUMENT


def test_the_example_is_an_event_and_a_stranger_s_is_not() -> None:
    [example] = EXAMPLES
    see_valid(example)
    for wrong in ({"sequence": "1"}, {"tenant_id": "Nordwind"}, {"at": "yesterday"}, {"more": 1}, {"fields": []}):
        with pytest.raises(ValidationError):
            see_valid(example | wrong)
