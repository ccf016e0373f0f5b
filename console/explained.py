"""Everything that the database can tell of one person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from common.db.tenants import Tenant
from common.messages import Stream
from console import explained_number, explained_presence
from console.explained_number import NumberReason
from console.explained_presence import Presence
from console.reads import advance, group_paths, history, people, traces
from console.reads.advance import Advance
from console.reads.group_paths import GroupPath
from console.reads.history import Event
from console.reads.people import Person
from console.reads.traces import Traces


@dataclass(frozen=True)
class Explained:
    """A person, or an id that is nobody's, as of `now`. Without a `person` there are neither number nor paths."""

    tenant: Tenant
    object_id: str
    now: datetime
    advances: Mapping[Stream, Advance]
    traces: Traces
    presence: Presence
    person: Person | None
    number: NumberReason | None
    paths: Sequence[GroupPath]
    events: Sequence[Event]
    """Latest first."""
    has_earlier_events: bool

    @property
    def caveats(self) -> list[str]:
        """Why all that may be incomplete or old, a sentence each."""
        return explained_presence.caveats(self.tenant, self.advances, self.now)

    @property
    def freshness(self) -> str:
        return explained_presence.freshness(self.advances, self.now)


def explain(connection: Connection, tenant: Tenant, object_id: str, now: datetime, *, events: int) -> Explained:
    """Return what is known of `object_id`, with at most so many `events`."""
    tenant_id = tenant.tenant_id
    advances = {one.stream: one for one in advance.of_tenants(connection, [tenant_id])}
    known = traces.of(connection, tenant_id, object_id)
    person = next(iter(people.find(connection, tenant_id, object_id, region=None, limit=1)), None)
    happened = history.of_person(connection, tenant_id, object_id, limit=events + 1)
    return Explained(
        tenant=tenant,
        object_id=object_id,
        now=now,
        advances=advances,
        traces=known,
        presence=explained_presence.presence(
            known,
            advances.get(Stream.USERS),
            now,
            is_in_book=person is not None,
            is_limited=not tenant.scope.is_everybody,
        ),
        person=person,
        number=explained_number.reason_of(person, tenant.default_region) if person is not None else None,
        paths=group_paths.paths_of(connection, tenant_id, object_id) if person is not None else [],
        events=happened[:events],
        has_earlier_events=len(happened) > events,
    )
