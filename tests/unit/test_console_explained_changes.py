"""The feed of changes in people's words."""

from datetime import UTC, datetime

import pytest

from common.messages import Reason
from console.explained_changes import REASONS, in_words, round_in_words
from console.explained_fields import FIELDS
from console.reads.history import Event
from worker.apply_users import COMPARED

AT = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
STAFF = "ab120000-0000-4000-8000-000000000002"


def test_every_reason_and_every_field_that_the_worker_records_has_its_words() -> None:
    assert set(REASONS) == set(Reason)
    assert set(FIELDS) == set(COMPARED)


def test_a_reason_of_a_newer_version_is_told_as_it_stands() -> None:
    assert round_in_words("full_moon\x1b") == "full moon\ufffd"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event(AT, "contact.added", "first_sync"), "came into the address book (first sync)"),
        (Event(AT, "contact.removed", "calendar"), "left the address book (regular full sync)"),
        (Event(AT, "contact.changed", "poll", ("mail",)), "mail changed (poll)"),
        (
            Event(AT, "contact.changed", "notification", ("mobile_phone", "phone", "phone_source", "phone_state")),
            "mobile phone and number changed (notification)",
        ),
        (
            Event(AT, "contact.changed", "operator", ("phone_state", "mobile_phone", "display_name")),
            "name, mobile phone and state of the number changed (sync asked for by an operator)",
        ),
        (Event(AT, "contact.changed", "poll", ("shoe_size",)), "shoe_size changed (poll)"),
        (Event(AT, "contact.changed", "poll"), "nothing changed (poll)"),
        (Event(AT, "membership.added", "recheck", (), STAFF, "Staff"), "joined Staff (the object itself was read)"),
        (Event(AT, "membership.removed", "poll", (), STAFF, "St\x1baff"), "left St\ufffdaff (poll)"),
        (Event(AT, "membership.removed", "poll", (), STAFF), f"left the group {STAFF} (poll)"),
    ],
)
def test_a_change_is_told_in_words(event: Event, words: str) -> None:
    assert in_words(event) == words
