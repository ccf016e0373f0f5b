"""What a worker counts. What it measures of the whole installation is in `worker.gauges`.

No label names a tenant: an installation may have thousands of them, such a label would multiply every series by their
number and by that of the workers, and it would tell whoever may read the monitoring who the customers are. Counts and
the worst of each are enough to be woken by; `entra-sms status` then says which tenant it is. Every label value is a
word of this program: none comes from outside, none is of a person.

What is written is counted after its commit, so that work that is repeated is not counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from prometheus_client import Counter, Histogram

from common.errors import ResyncNeededError
from common.messages import Mode, Reason, Stream, SyncRequest
from worker.book import KINDS, Counts

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_LONG_SECONDS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 28_800.0)
_OUTCOMES = ("ok", "failed", "resync")

QUEUE_WAIT_SECONDS = Histogram(
    "entra_sms_queue_wait_seconds",
    "From a request to the beginning of the turn that answers it; without those that are delayed on purpose.",
    ["stream"],
    buckets=_SECONDS,
)
CHANGE_LAG_SECONDS = Histogram(
    "entra_sms_change_lag_seconds",
    "From the first notification of a change to the commit of what it announced.",
    ["stream"],
    buckets=_SECONDS,
)
TURNS = Counter(
    "entra_sms_turns", "Turns at a stream by outcome: ok, or the error that ended it.", ["stream", "outcome"]
)
TURN_SECONDS = Histogram("entra_sms_turn_seconds", "Length of a turn at a stream.", ["stream"], buckets=_SECONDS)
ROUNDS = Counter("entra_sms_rounds", "Delta rounds that ended, by outcome.", ["stream", "mode", "outcome"])
ROUND_SECONDS = Histogram(
    "entra_sms_round_seconds",
    "Length of the rounds that ended well, from their first page.",
    ["stream", "mode"],
    buckets=_LONG_SECONDS,
)
PAGES = Counter("entra_sms_pages", "Delta pages stored.", ["stream", "mode"])
OBJECTS = Counter("entra_sms_objects", "Objects on the delta pages stored, changed or not.", ["stream", "mode"])
CHANGES = Counter("entra_sms_changes", "Changes of the address book.", ["kind"])
HOLDS = Counter("entra_sms_holds", "How often removals were held because they were too many.", ["stream"])
DEAD_LETTERS = Counter("entra_sms_dead_letters", "Messages given up, by reason.", ["reason"])


def prepare() -> None:
    """Begin every series that is known before its first event at 0: else rate() would not see that event."""
    for stream in Stream:
        QUEUE_WAIT_SECONDS.labels(stream)
        CHANGE_LAG_SECONDS.labels(stream)
        TURNS.labels(stream, "ok")
        TURN_SECONDS.labels(stream)
        HOLDS.labels(stream)
        for mode in Mode:
            ROUND_SECONDS.labels(stream, mode)
            PAGES.labels(stream, mode)
            OBJECTS.labels(stream, mode)
            for outcome in _OUTCOMES:
                ROUNDS.labels(stream, mode, outcome)
    for kind in KINDS:
        CHANGES.labels(kind)
    for reason in ("unreadable", "defect"):
        DEAD_LETTERS.labels(reason)


def count_waits(requests: Sequence[SyncRequest], now: datetime) -> None:
    """Count how long `requests`, which a turn begins to answer `now`, have waited; their clocks may differ a little."""
    for request in requests:
        if request.attempt == 0 and request.reason is not Reason.FOLLOW_UP:
            waited_seconds = (now - request.requested_at).total_seconds()
            QUEUE_WAIT_SECONDS.labels(request.stream).observe(max(0.0, waited_seconds))


@contextmanager
def failed_rounds(stream: Stream, mode: Mode) -> Iterator[None]:
    """Count the round that ends by an error in this block."""
    try:
        yield
    except Exception as error:
        ROUNDS.labels(stream, mode, "resync" if isinstance(error, ResyncNeededError) else "failed").inc()
        raise


def count_round(stream: Stream, mode: Mode, seconds: float) -> None:
    """Count a round that ended well after `seconds`."""
    ROUNDS.labels(stream, mode, "ok").inc()
    ROUND_SECONDS.labels(stream, mode).observe(max(0.0, seconds))


def count_lag(stream: Stream, counts: Counts, seconds: float) -> None:
    """Count how long after its first notification a round has ended, if it found anything new."""
    if counts.altered:
        CHANGE_LAG_SECONDS.labels(stream).observe(max(0.0, seconds))


def count_page(stream: Stream, mode: Mode, counts: Counts) -> None:
    """Count a page, and what it did to the book."""
    PAGES.labels(stream, mode).inc()
    OBJECTS.labels(stream, mode).inc(counts.objects)
    count_changes(stream, counts)


def count_changes(stream: Stream, counts: Counts) -> None:
    """Count what a transaction did to the book, and the hold that it opened."""
    HOLDS.labels(stream).inc(counts.holds)
    for kind, count in counts.by_kind.items():
        CHANGES.labels(kind).inc(count)
