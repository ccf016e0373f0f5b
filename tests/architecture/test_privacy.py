"""The document about personal data names every table, every column of a contact, and every queue."""

import re
from pathlib import Path

from common import topology
from common.db.tables import contacts, metadata

DOCUMENT = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text()


def section(heading: str) -> str:
    _, _, rest = DOCUMENT.partition(f"{heading}\n")
    return re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0]


def named_first(text: str) -> list[str]:
    """The names in the first cell of each row of a table."""
    return [name for row in re.findall(r"^\|([^|]*)\|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)]


def test_every_table_is_described_once() -> None:
    assert sorted(named_first(section("## In the database"))) == sorted(metadata.tables)


def test_every_column_of_a_contact_is_described_once() -> None:
    assert sorted(named_first(section("### A contact"))) == sorted(contacts.c.keys())


def test_every_queue_and_the_exchange_of_events_are_described() -> None:
    delayed = {topology.delayed_queue(seconds) for seconds in topology.DELAYS_SECONDS}
    queues = {queue.name for queue in topology.queues()} - delayed

    assert set(named_first(section("## Elsewhere"))) == queues | {"sync.delayed.*", topology.EVENTS}
