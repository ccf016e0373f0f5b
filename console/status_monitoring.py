"""`entra-sms status --monitoring`: one line, and the exit codes of monitoring plugins (Nagios, Icinga)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from common import topology
from common.errors import EntraSmsError, RetryLaterError
from console import output
from console.condition import Condition
from console.queues import DELAYED, Broker
from console.troubles import Trouble, summed_up


class PluginExit(IntEnum):
    """What a monitoring plugin ends with; not the codes of the other commands."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def verdict(troubles: Sequence[Trouble]) -> PluginExit:
    """Return how bad it is: critical when an address book does not follow its directory."""
    if any(trouble.is_critical for trouble in troubles):
        return PluginExit.CRITICAL
    return PluginExit.WARNING if troubles else PluginExit.OK


def line(conditions: Sequence[Condition], broker: Broker, troubles: Sequence[Trouble]) -> str:
    """Return the verdict, what is wrong, and after the bar some figures for graphs."""
    said = "; ".join(trouble.sentence for trouble in summed_up(troubles)) or "all is well"
    waiting = broker.messages(topology.REQUESTS, topology.COMMANDS, topology.LIFECYCLE, *DELAYED)
    figures = {
        "tenants": str(len(conditions)),
        "people": str(sum(one.size.people for one in conditions if one.size is not None)),
        "workers": str(broker.workers),
        "waiting": str(waiting),
        "dead_letters": str(broker.messages(topology.DEAD_LETTERS)),
    }
    lags = [one.lag_seconds for one in conditions if one.lag_seconds is not None]
    if lags:
        figures["lag"] = f"{max(lags):.1f}s"
    return _sentence(verdict(troubles), said, " ".join(f"{name}={value}" for name, value in figures.items()))


def of_error(error: EntraSmsError) -> tuple[PluginExit, str]:
    """Return how a look ends that was not possible: critical when something is away, else nobody knows."""
    code = PluginExit.CRITICAL if isinstance(error, RetryLaterError) else PluginExit.UNKNOWN
    return code, _sentence(code, str(error))


def _sentence(code: PluginExit, said: str, figures: str = "") -> str:
    # The bar begins the figures, so it must not stand in what is said.
    text = f"ENTRA-SMS {code.name}: {output.shown(said).replace('|', '/')}"
    return f"{text} | {figures}" if figures else text
