"""RabbitMQ in a few words: who listens, and what waits."""

from __future__ import annotations

from rich.text import Text

from common import topology
from console.output import plural
from console.queues import DELAYED, Broker

KINDS = (
    ((topology.REQUESTS,), "request"),
    (DELAYED, "delayed request"),
    ((topology.COMMANDS,), "command"),
    ((topology.LIFECYCLE,), "lifecycle event"),
)
"""Queues -> what one message in them is."""


def lines(broker: Broker) -> list[Text]:
    """Return a line about the queues, and one about the dead letters if there are any."""
    if broker.trouble is not None:
        return [Text.assemble(("RabbitMQ", "bold"), "  ", ("cannot be reached", "bold red"))]
    counts = [(broker.messages(*names), thing) for names, thing in KINDS]
    waiting = ", ".join(plural(count, thing) for count, thing in counts if count) or "nothing"
    found = [Text.assemble(("RabbitMQ", "bold"), f"  {plural(broker.workers, 'worker')}; waiting: {waiting}")]
    dead = broker.messages(topology.DEAD_LETTERS)
    if dead:
        what = f"{plural(dead, 'message')} in {topology.DEAD_LETTERS}"
        found.append(Text(f"  {what}; why: entra-sms dead-letters list", "yellow"))
    return found
