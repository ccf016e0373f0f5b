"""What is counted of the requests to Graph: answers, time, throttling, resource units.

Counted for all tenants together, see `docs/metrics.md`.
"""

from __future__ import annotations

import re

import requests
from prometheus_client import Counter, Histogram

REQUESTS = Counter("entra_sms_graph_requests", "Requests to Graph by HTTP status; none: no answer came.", ["status"])
REQUEST_SECONDS = Histogram(
    "entra_sms_graph_request_seconds",
    "Time until Graph answered, or until it was given up.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
THROTTLED = Counter("entra_sms_graph_throttled", "Answers by which Graph asked to be left alone.")
THROTTLED_SECONDS = Counter("entra_sms_graph_throttled_seconds", "For how long Graph asked to be left alone.")
RESOURCE_UNITS = Counter("entra_sms_graph_resource_units", "Resource units that the answered requests have cost.")

UNITS_HEADER = "x-ms-resource-unit"
FREE_STATUSES = frozenset({400, 401, 403})
"""What is refused costs nothing. Observed, not documented."""

_MEMBERS = re.compile(r"/groups/[^/]+/members\b")
_NO_ANSWER = "none"

for _status in ("200", "429", _NO_ANSWER):
    REQUESTS.labels(_status)  # a counter that begins at its first event hides that event from rate()


def count_answer(response: requests.Response) -> None:
    REQUESTS.labels(str(response.status_code)).inc()
    RESOURCE_UNITS.inc(resource_units(response))


def count_no_answer() -> None:
    REQUESTS.labels(_NO_ANSWER).inc()


def count_throttling(asked_seconds: float | None) -> None:
    """Count an answer by which Graph asked to be left alone, for so long if it said."""
    THROTTLED.inc()
    THROTTLED_SECONDS.inc(asked_seconds or 0.0)


def resource_units(response: requests.Response) -> int:
    """Return what the request has cost: by Graph's own word, else by its documentation.

    Source: Microsoft Graph service-specific throttling limits, identity and access. Every request of ours has a
    `$select` or is not listed there: 1, and members 3 - 1.
    """
    told = response.headers.get(UNITS_HEADER, "")
    if told.isascii() and told.isdecimal():
        return int(told[:6])
    if response.status_code in FREE_STATUSES:
        return 0
    return 2 if _MEMBERS.search(response.url or "") else 1
