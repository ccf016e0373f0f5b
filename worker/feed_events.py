"""From changes to events: what is told of each change, by what the book says now.

The book may have moved on since a change was made. Each event says what is, so:

* Of somebody who is gone again, nothing is told but the removal, whose own change follows.
* Of a membership, nothing is told while one of its ends is not in the book. Whoever comes (back) into the book is
  therefore told with the groups that he is in; whichever of the two is published last tells of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import RowMapping

from common import events
from common.db import published
from common.events import Change


def of_changes(connection: Connection, tenant_id: str, rows: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """Return the bodies of the events for `rows` of `changes`, all of one tenant, in their order.

    Some changes make none. Everything is read after the rows were, in a handful of statements.
    """
    people = published.people(connection, tenant_id, _ids(rows, "contact.added", "contact.changed"))
    teams = published.teams(connection, tenant_id, _ids(rows, "group.added", "group.changed"))
    arrived = _ids(rows, "contact.added", "group.added")
    memberships = published.groups_by_member(connection, tenant_id, arrived)
    joined = {(row["object_id"], row["member_id"]) for row in rows if row["kind"] == "membership.added"}
    types = published.member_types(connection, tenant_id, joined)

    def told(row: RowMapping) -> Iterator[dict[str, Any]]:
        change = Change(row["kind"], tenant_id, row["sequence"], row["at"], row["reason"])
        noun, _, verb = row["kind"].partition(".")
        object_id = row["object_id"]
        if noun == "membership":
            key = (object_id, row["member_id"])
            if verb == "removed" or key in types:
                yield change.told(membership=events.membership(*key, types.get(key) if verb == "added" else None))
            return
        if verb == "removed":
            yield change.told(**{noun: {"object_id": object_id}})
            return
        found = (people if noun == "contact" else teams).get(object_id)
        if found is None:
            return
        if verb == "added":
            yield change.told(**{noun: found, "groups": memberships.get(object_id, [])})
        elif changed := events.fields(row["kind"], row["fields"] or ()):
            yield change.told(**{noun: found, "fields": changed})

    return [event for row in rows for event in told(row)]


def _ids(rows: Sequence[RowMapping], *kinds: str) -> set[str]:
    return {row["object_id"] for row in rows if row["kind"] in kinds}
