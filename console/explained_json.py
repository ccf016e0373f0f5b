"""`entra-sms explain --json`: the same facts for programs. Names of fields are kept; new ones may come."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from common.clock import to_text
from common.messages import Stream
from console import explained_changes
from console.explained import Explained
from console.explained_live import Live
from console.explained_number import NumberReason
from console.reads.group_paths import GroupPath
from console.reads.history import Event
from console.reads.traces import Traces


def as_json(explained: Explained, live: Live | None) -> dict[str, Any]:
    """Return everything as JSON; `live` is null when Graph was not asked."""
    users, groups = (explained.advances.get(stream) for stream in Stream)
    return {
        "tenant_id": explained.tenant.tenant_id,
        "tenant": explained.tenant.name,
        "object_id": explained.object_id,
        "at": to_text(explained.now),
        "state": explained.presence.state,
        "reason": explained.presence.reason,
        **_traces(explained.traces),
        "person": asdict(explained.person) if explained.person is not None else None,
        "number": _number(explained.number) if explained.number is not None else None,
        "groups": [_path(path) for path in explained.paths],
        "changes": [_event(event) for event in explained.events],
        "has_earlier_changes": explained.has_earlier_events,
        "people_read_at": _time(users.last_good_at if users is not None else None),
        "groups_read_at": _time(groups.last_good_at if groups is not None else None),
        "caveats": explained.caveats,
        "live": _live(live) if live is not None else None,
    }


def _traces(traces: Traces) -> dict[str, Any]:
    passage, held = traces.last_passage, traces.held
    return {
        "last_passage": _event(passage) if passage is not None else None,
        "read_again_at": _time(traces.read_again_at),
        "hold": held.hold.hold_id if held is not None else None,
        "held_number": held.number if held is not None else None,
        "memberships": traces.edges,
        "next_round_at": _time(traces.next_poll_at),
    }


def _number(reason: NumberReason) -> dict[str, Any]:
    return {
        "phone": reason.kept.number,
        "source": reason.kept.source,
        "state": reason.kept.state,
        "reason": reason.sentence,
        "read_now": reason.read_now.number,
        "region": reason.region,
        "is_tenants_region": reason.is_tenants_region,
        "readings": [asdict(one) for one in reason.readings],
    }


def _path(path: GroupPath) -> dict[str, Any]:
    return {
        "object_id": path.team.object_id,
        "display_name": path.team.display_name,
        "direct": path.is_direct,
        "path": [{"object_id": team.object_id, "display_name": team.display_name} for team in path.teams],
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": to_text(event.at),
        "kind": event.kind,
        "reason": event.reason,
        "fields": list(event.fields),
        "group_id": event.group_id,
        "group_name": event.group_name,
        "words": explained_changes.in_words(event),
    }


def _live(live: Live) -> dict[str, Any]:
    return {
        "known": live.is_known,
        "malformed": live.malformed,
        "fields": {one.column: {"graph": one.graph, "book": one.book, "same": one.is_same} for one in live.comparisons},
        "differing": live.differing,
        "what_next": live.what_next,
    }


def _time(moment: datetime | None) -> str | None:
    return to_text(moment) if moment is not None else None
