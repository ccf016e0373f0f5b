"""The plan of faults: which, when, for how long. A pure function of seed and length."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

PACE_SECONDS = 3.0
"""A fault begins about so often; most last longer, so they overlap."""
QUIET_AT_THE_END_SECONDS = 8.0


@dataclass(frozen=True)
class Kind:
    """What is the same for all faults of a kind.

    Attributes:
        place: Where it strikes. Two faults at one place never overlap: the end of one would end the other.
        shortest_seconds: It lasts at least so long,
        longest_seconds: and at most so long.
    """

    place: str
    shortest_seconds: float
    longest_seconds: float


KINDS: Mapping[str, Kind] = {
    "worker_killed": Kind("workers", 2.0, 5.0),
    "webhook_killed": Kind("webhooks", 2.0, 5.0),
    "broker_killed": Kind("broker", 2.0, 5.0),
    "database_killed": Kind("database", 1.0, 4.0),
    "broker_cut": Kind("broker network", 2.0, 6.0),
    "broker_stalled": Kind("broker network", 4.0, 8.0),
    "broker_slowed": Kind("broker network", 4.0, 8.0),
    "database_cut": Kind("database network", 2.0, 6.0),
    "database_stalled": Kind("database network", 4.0, 8.0),
    "database_slowed": Kind("database network", 4.0, 8.0),
    "throttled": Kind("throttling", 4.0, 8.0),
    "server_errors": Kind("server errors", 4.0, 8.0),
    "connections_reset": Kind("resets", 4.0, 8.0),
    "answers_truncated": Kind("truncation", 4.0, 8.0),
    "answers_of_html": Kind("html", 4.0, 8.0),
    "access_tokens_refused": Kind("access tokens", 3.0, 6.0),
    "delta_token_gone": Kind("delta tokens", 3.0, 5.0),
    "delta_token_sync_state_not_found": Kind("delta tokens", 3.0, 5.0),
    "delta_token_unsupported_query": Kind("delta tokens", 3.0, 5.0),
    "notifications_dropped": Kind("dropping", 4.0, 8.0),
    "notifications_doubled": Kind("doubling", 4.0, 8.0),
    "notifications_reordered": Kind("order", 4.0, 8.0),
    "notifications_late": Kind("delay", 4.0, 8.0),
    "graph_lags": Kind("lag", 4.0, 8.0),
    "subscription_forgotten": Kind("subscriptions", 1.0, 1.0),
    "secret_revoked": Kind("access tokens", 5.0, 9.0),
    "clock_jumped": Kind("clock", 1.0, 1.0),
}


@dataclass(frozen=True)
class Strike:
    """One fault of the plan; `number` chooses which of several it hits (a worker, a subscription)."""

    at_seconds: float
    kind: str
    seconds: float
    number: int

    @property
    def place(self) -> str:
        return KINDS[self.kind].place


def strikes(seed: int, seconds: float) -> list[Strike]:
    """Return the plan for a run of that length, in the order of time; each kind once before any comes again."""
    source = random.Random(f"chaos {seed} {seconds:g}")
    many = max(1, round(seconds / PACE_SECONDS))
    kinds: list[str] = []
    while len(kinds) < many:
        kinds += source.sample(sorted(KINDS), len(KINDS))
    span = max(1.0, seconds - QUIET_AT_THE_END_SECONDS) / many
    free_at: dict[str, float] = {}
    planned = []
    for position, name in enumerate(kinds[:many]):
        kind = KINDS[name]
        at = max((position + source.random()) * span, free_at.get(kind.place, 0.0))
        lasts = source.uniform(kind.shortest_seconds, kind.longest_seconds)
        free_at[kind.place] = at + lasts
        planned.append(Strike(round(at, 1), name, round(lasts, 1), source.randrange(1_000)))
    return sorted(planned, key=lambda strike: strike.at_seconds)
