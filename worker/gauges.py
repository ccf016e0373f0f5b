"""What a worker measures when it is scraped: itself, and the whole installation by the latest census and depths.

Every worker tells the same of the installation: look at the greatest (`max without (instance)`), do not add them up.
What cannot be read is left out, and `entra_sms_database_up` or `entra_sms_broker_up` says so: an old number would lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from worker.census import Census

Samples = Iterable[tuple[tuple[str, ...], float]]


class Gauges(Collector):
    """Turns readings into gauges; asks nobody anything."""

    def __init__(
        self,
        *,
        census: Callable[[], Census | None],
        depths: Callable[[], Mapping[str, int] | None],
        is_connected: Callable[[], bool],
        waiting_requests: Callable[[], int],
        poll_seconds: float,
    ) -> None:
        self._census = census
        self._depths = depths
        self._is_connected = is_connected
        self._waiting_requests = waiting_requests
        self._poll_seconds = poll_seconds

    def collect(self) -> Iterable[Metric]:
        census, depths = self._census(), self._depths()
        yield _gauge("database_up", "Whether the database answers this worker.", float(census is not None))
        yield _gauge("broker_up", "Whether this worker receives from RabbitMQ.", float(self._is_connected()))
        yield _gauge("waiting_requests", "Requests that this worker has taken and not begun.", self._waiting_requests())
        yield _gauge("poll_interval_seconds", "ENTRA_SMS_POLL_SECONDS, to compare ages with.", self._poll_seconds)
        queues = [((queue,), count) for queue, count in (depths or {}).items()]
        yield _family("queue_messages", "Messages that wait in a queue.", ["queue"], queues)
        yield from _of_tenants(census)
        yield from _of_streams(census)


_COUNTS_BY_STATE = {
    "tenants": "Tenants by state.",
    "subscriptions": "Streams of active tenants by the state of their subscription.",
}
_INSTALLATION_GAUGES = {
    "tenants_throttled": "Tenants whose Graph asked to be left alone.",
    "subscription_remaining_seconds": "Until the first of the working subscriptions expires.",
    "credential_remaining_seconds": "Until the first credential expires whose expiry is known; below 0: one has.",
    "events_unpublished": "Changes that wait to be published on the exchange addressbook.",
    "event_age_seconds": "Since the first of them was made; 0 when none waits.",
}
_STREAM_GAUGES = {
    "round_age_seconds": "Since a round last ended well, of the active tenant for which that is longest ago.",
    "streams_failing": "Streams of active tenants whose last round failed.",
    "full_rounds_running": "Full rounds under way.",
    "full_round_age_seconds": "Since the oldest full round under way began.",
    "holds_open": "Streams whose removals wait for an operator.",
    "removals_held": "Removals that wait for an operator.",
}
"""Field of `worker.census`, and name of the gauge -> what it says."""


def _of_tenants(census: Census | None) -> Iterable[Metric]:
    for field, meaning in _COUNTS_BY_STATE.items():
        counts: Mapping[str, int] = getattr(census, field) if census else {}
        yield _family(field, meaning, ["state"], [((state,), count) for state, count in counts.items()])
    for field, meaning in _INSTALLATION_GAUGES.items():
        yield _gauge(field, meaning, getattr(census, field) if census else None)


def _of_streams(census: Census | None) -> Iterable[Metric]:
    for field, meaning in _STREAM_GAUGES.items():
        found = [((stream,), getattr(one, field)) for stream, one in census.streams.items()] if census else []
        yield _family(field, meaning, ["stream"], found)


def _gauge(name: str, meaning: str, value: float | None) -> Metric:
    return _family(name, meaning, [], [] if value is None else [((), value)])


def _family(name: str, meaning: str, labels: list[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(f"entra_sms_{name}", meaning, labels=labels)
    for values, value in samples:
        family.add_metric(list(values), value)
    return family
