"""What every write to the address book shares: on whose behalf it is made, what it counted, and the change feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, case, delete, insert, literal, null, select, union, update

from common.db.bulk import insert_rows
from common.db.engine import Database, batches
from common.db.tables import changes, memberships, rechecks, streams
from common.db.tenants import RemovalLimit
from common.messages import Reason, Stream
from common.scope import EVERYBODY, Scope

RECYCLE_BIN_DAYS = 31
"""Deleted people and groups can come back for 30 days; Microsoft's documentation: recover deleted items."""

SCOPED_OUT = (Reason.RESCOPED, Reason.OUT_OF_SCOPE)
"""Why people leave the book who stay in the directory: an operator changed the scope, or they left it."""

KINDS = (
    *("contact.added", "contact.changed", "contact.removed"),
    *("group.added", "group.changed", "group.removed"),
    *("membership.added", "membership.removed"),
)
"""What the change feed tells."""


@dataclass
class Counts:
    """What a page, a slice or a round did to the book."""

    objects: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    """The records that were added to the change feed."""
    holds: int = 0
    """Holds that were opened because the removals were too many."""

    def add(self, other: Counts) -> None:
        self.objects += other.objects
        self.added += other.added
        self.changed += other.changed
        self.removed += other.removed
        self.by_kind += other.by_kind
        self.holds += other.holds

    @property
    def totals(self) -> dict[str, int]:
        """The counts by name, as tables have them."""
        return {"objects": self.objects, "added": self.added, "changed": self.changed, "removed": self.removed}

    @property
    def altered(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass
class Writer:
    """One transaction's pen: the connection, whose book it is, and why it is written.

    `generation` is the number of the latest full round, under way or ended: rows that are seen get it. `full` tells
    that the page comes from a full round, where a property that is not mentioned was never set. `hold_id` names the
    stream's open hold (`worker.removal_guard`), if there is one. `publishes` tells that consumers are told of each
    change (`worker.feed`). `scope` says who belongs in the book; `rescoping` tells that it was changed by an operator,
    who was shown how many leave, and that not everybody has been looked at since.
    """

    database: Database
    connection: Connection
    tenant_id: str
    default_region: str | None
    generation: int
    full: bool
    reason: Reason
    now: datetime
    recheck_at: datetime
    removal_limit: RemovalLimit
    hold_id: int | None
    publishes: bool = False
    scope: Scope = EVERYBODY
    rescoping: bool = False
    counts: Counts = field(default_factory=Counts)

    def record(self, kind: str, entries: Sequence[dict[str, Any]], reason: Reason | None = None) -> None:
        """Append to the change feed: `object_id`, and `member_id` or `fields` where they apply; never values."""
        if not entries:
            return
        why = str(reason or self.reason)
        same = {"tenant_id": self.tenant_id, "at": self.now, "kind": kind, "reason": why}
        insert_rows(self.connection, changes, entries, **same, unpublished=self._unpublished)
        self.counts.by_kind[kind] += len(entries)
        self._mark_scope(kind)

    def remove_rows(
        self,
        kind: str,
        table: Table,
        which: ColumnElement[bool],
        ids: Sequence[ColumnElement[str]],
        reason: Reason | None = None,
    ) -> None:
        """Delete the rows of `table` that `which` names, and record each as `kind`, without fetching them.

        `ids` are the columns that become `object_id` and, for memberships, `member_id` of the record.
        """
        object_id, member_id = (*ids, null())[:2]
        record = select(
            literal(self.tenant_id, table.c.tenant_id.type),
            literal(self.now, changes.c.at.type),
            literal(kind),
            object_id,
            member_id,
            null(),
            literal(str(reason or self.reason)),
            literal(self._unpublished, changes.c.unpublished.type),
        ).where(which)
        columns = ["tenant_id", "at", "kind", "object_id", "member_id", "fields", "reason", "unpublished"]
        self.connection.execute(insert(changes).from_select(columns, record))
        count = self.connection.execute(delete(table).where(which)).rowcount
        self.counts.removed += count
        self.counts.by_kind[kind] += count
        if count:
            self._mark_scope(kind)

    def _mark_scope(self, kind: str) -> None:
        """Note that the groups of the scope may reach others now (`worker.reach`); the people's stream sees to it."""
        if not self.scope.group_ids or kind.startswith("contact."):
            return
        # Not the other stream's row: transactions that have locked one stream must not wait for the other.
        row = {"tenant_id": self.tenant_id, "stream": Stream.USERS, "object_id": self.tenant_id, "what": "scope"}
        self._note([{**row, "due_at": self.now}])

    @property
    def _unpublished(self) -> bool | None:
        """The mark of a change that `worker.feed` is to publish."""
        return True if self.publishes else None

    def recheck(self, stream: Stream, what: str, object_ids: Sequence[str]) -> None:
        """Note objects to be read themselves: `what` is ``object`` (their properties) or ``members``."""
        if not object_ids:
            return
        rows = [
            {
                "tenant_id": self.tenant_id,
                "stream": stream,
                "object_id": object_id,
                "what": what,
                "due_at": self.recheck_at,
            }
            for object_id in object_ids
        ]
        # The stream's row first, also where nothing is to change in it: it may be another one's, and whoever advances
        # that one has locked it before he notes the same objects.
        soon = case((streams.c.next_poll_at > self.recheck_at, self.recheck_at), else_=streams.c.next_poll_at)
        mine = (streams.c.tenant_id == self.tenant_id, streams.c.stream == stream)
        self.connection.execute(update(streams).where(*mine).values(next_poll_at=soon))
        self._note(rows)

    def _note(self, rows: list[dict[str, Any]]) -> None:
        noted = self.database.insert(rechecks)
        # What is noted already is read later than it was to be: not before the reads show what is said now.
        key = list(rechecks.primary_key.columns)
        again = noted.on_conflict_do_update(index_elements=key, set_={"due_at": noted.excluded.due_at})
        self.connection.execute(again, rows)

    def recheck_groups_of(self, member_ids: Collection[str]) -> None:
        """Note the groups that have an edge to a restored member, or lost it lately: Graph reports nothing there.

        Lost, since a list of members that was read while he was in the recycle bin, and still in the book, was without
        him.
        """
        since = self.now - timedelta(days=RECYCLE_BIN_DAYS)
        for batch in batches(sorted(member_ids)):
            mine = (memberships.c.tenant_id == self.tenant_id, memberships.c.member_id.in_(batch))
            lost = (
                changes.c.tenant_id == self.tenant_id,
                changes.c.kind == "membership.removed",
                changes.c.at >= since,
            )
            in_groups = select(memberships.c.group_id).where(*mine)
            left_groups = select(changes.c.object_id).where(*lost, changes.c.member_id.in_(batch))
            self.recheck(Stream.GROUPS, "members", list(self.connection.scalars(union(in_groups, left_groups))))

    def removed_before(self, kind: str, object_ids: Sequence[str]) -> set[str]:
        """Return those of `object_ids` that the feed says were deleted (`kind`) while they could still come back.

        Who only left the scope was never in the recycle bin: his memberships have been told all the while.
        """
        since = self.now - timedelta(days=RECYCLE_BIN_DAYS)
        found: set[str] = set()
        for batch in batches(object_ids):
            query = (
                select(changes.c.object_id)
                .where(changes.c.tenant_id == self.tenant_id, changes.c.object_id.in_(batch))
                .where(changes.c.kind == kind, changes.c.at >= since, changes.c.reason.not_in(SCOPED_OUT))
            )
            found.update(self.connection.scalars(query))
        return found
