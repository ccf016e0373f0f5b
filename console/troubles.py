"""What is wrong, a sentence each, and how bad it is; many tenants with the same trouble are told in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from console.output import number

ALIKE = 3
"""So many tenants with the same trouble are told one by one; more of them share a line."""
NAMED = 3
"""So many of those are named there."""


class Kind(StrEnum):
    """What is wrong; programs know a trouble by it."""

    BROKER = "broker"
    WORKERS = "workers"
    ACCESS = "access"
    CREDENTIAL = "credential"
    STALE = "stale"
    FAILING = "failing"
    HELD = "held"
    UNSUBSCRIBED = "unsubscribed"
    EVENTS = "events"
    SCOPE = "scope"


OF_MANY = {
    Kind.ACCESS: "cannot be read, since their access fails",
    Kind.CREDENTIAL: "need a new credential",
    Kind.STALE: "are not read as often as they should be; does a worker run?",
    Kind.FAILING: "have rounds that fail",
    Kind.HELD: "have removals that wait for a decision: entra-sms holds list",
    Kind.UNSUBSCRIBED: "have no subscription at Graph, so changes are found by polling alone",
    Kind.SCOPE: "have groups in their scope that the directory does not have any more",
    Kind.EVENTS: "have changes that wait to be published; does RabbitMQ take them?",
}


@dataclass(frozen=True)
class Trouble:
    """Something that needs a person; `tenant` is the name of whose it is, "" for the whole installation.

    It is critical when the address book does not follow the directory because of it.
    """

    kind: Kind
    text: str
    is_critical: bool
    tenant: str = ""

    @property
    def sentence(self) -> str:
        return f"{self.tenant}: {self.text}" if self.tenant else self.text


def summed_up(troubles: Sequence[Trouble]) -> list[Trouble]:
    """Return `troubles` with those that many tenants have alike in one, the critical ones first."""
    told: list[Trouble] = []
    for kind in Kind:
        alike = [trouble for trouble in troubles if trouble.kind is kind]
        names = list(dict.fromkeys(trouble.tenant for trouble in alike))
        told += alike if len(names) <= ALIKE else [_of_many(kind, names, alike)]
    return sorted(told, key=lambda trouble: not trouble.is_critical)


def _of_many(kind: Kind, names: Sequence[str], alike: Sequence[Trouble]) -> Trouble:
    some = f"{', '.join(names[:NAMED])} and {number(len(names) - NAMED)} more"
    return Trouble(
        kind, f"{number(len(names))} tenants {OF_MANY[kind]} ({some})", any(trouble.is_critical for trouble in alike)
    )
