"""What the run proves, and in which sentence it fails."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from statistics import median
from typing import Any
from uuid import UUID

import pika

from common import topology
from common.messages import decode_request
from tests.load.honest import NO_ANSWER, Posted
from tests.load.weather import FORECAST
from tests.load.wire import FORGED, HONEST

RSS_FACTOR, RSS_SLACK_MIB = 1.10, 8.0
"""Memory is flat when at the end it is no more than the factor times what it was in the middle, and the slack."""

STARVED_SECONDS = 10.0
"""So long nobody honest may wait for an answer of any kind: Graph waits no longer."""

EXPECTED_OF_STRANGERS: Mapping[str, set[int]] = {
    "oversized_with_length": {0, 413},
    "oversized_in_chunks": {0, 413},
    "without_length": {0, 400},
    "malformed_json": {0, 400},
    "forged_state": {0, 202},
    "half_closed": {0, 202, 503},
    "gone_before_the_answer": {0},
    "no_tls": {0},
    "broken_handshake": {0},
    "dripped_headers": {0, 400},
    "dripped_body": {0, 400},
    "silent": {0},
    "silent_after_handshake": {0},
}
"""0 is a connection that ended without an answer: the client's doing, or the webhook's patience was over."""

NEVER_UNANSWERED = ("malformed_json", "forged_state")


@dataclass(frozen=True)
class Seen:
    """Everything that was observed."""

    posted: Sequence[Posted]
    strangers: Mapping[str, Mapping[str, int]]
    queued: frozenset[str]
    rss_mib: Sequence[float]
    faults_missing: Sequence[str]
    defects: Sequence[str]
    """What the webhook logged as an error, or not as a log line."""

    seconds: float

    @property
    def statuses(self) -> Counter[int]:
        return Counter(status for _, _, status, _ in self.posted)

    @property
    def acknowledged(self) -> set[int]:
        return {number for number, _, status, _ in self.posted if status == 202}

    @property
    def missing(self) -> set[int]:
        """Numbers of acknowledged posts that are not in the queue."""
        return self.acknowledged - _numbers(self.queued, HONEST)

    def rss_in(self, share: float) -> float:
        """The median of what was seen around that share of the run."""
        count = len(self.rss_mib)
        width = max(1, count // 10)
        middle = min(max(int(share * count), width), count - width)
        return median(self.rss_mib[max(0, middle - width) : middle + width])


def failures(seen: Seen, *, timed: bool) -> list[str]:
    """Return a sentence for everything that does not hold; `timed` judges waiting times too."""
    found = []
    statuses = seen.statuses
    if unexpected := {status: count for status, count in statuses.items() if status not in (202, 503, NO_ANSWER)}:
        found.append(f"Honest posts were answered with {unexpected}.")
    if not statuses[202] or not statuses[503]:
        found.append(f"There were not both 202 and 503 among the answers: {dict(statuses)}.")
    if seen.missing:
        found.append(f"{len(seen.missing)} posts were answered with 202 and are not in the queue.")
    if forged := _numbers(seen.queued, FORGED):
        found.append(f"{len(forged)} forged notifications are in the queue.")
    found += _failures_of_strangers(seen)
    if seen.defects:
        found.append(f"The webhook logged {len(seen.defects)} errors, the first: {seen.defects[0]}")
    if seen.faults_missing:
        found.append(f"These faults hit no connection: {', '.join(seen.faults_missing)}.")
    if timed and (waited := longest_silence_seconds(seen.posted, seen.seconds)) > STARVED_SECONDS:
        found.append(f"For {waited:.1f} s nobody honest was answered.")
    if timed and (unanswered := statuses[NO_ANSWER]):
        found.append(f"{unanswered} honest posts were not answered at all.")
    middle, end = seen.rss_in(0.5), seen.rss_in(1.0)
    if end > middle * RSS_FACTOR + RSS_SLACK_MIB:
        found.append(f"Memory grew from {middle:.0f} MiB in the middle to {end:.0f} MiB at the end.")
    return found


def longest_silence_seconds(posted: Sequence[Posted], seconds: float) -> float:
    """The longest time in which no honest post was answered."""
    answered = sorted(sent_at + ms / 1000 for _, sent_at, status, ms in posted if status != NO_ANSWER)
    moments = [0.0, *answered, seconds]
    return max(later - earlier for earlier, later in pairwise(moments))


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def ids_in_queue(amqp_url: str) -> frozenset[str]:
    """Take everything out of the queue of requests; the object ids that its messages name."""
    found: set[str] = set()
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        left = channel.queue_declare(topology.REQUESTS, passive=True).method.message_count
        for method, _, body in channel.consume(topology.REQUESTS, auto_ack=True, inactivity_timeout=2.0):
            if method is None:
                break
            found.update(decode_request(body).object_ids)
            left -= 1
        channel.cancel()
    if left > 0:
        raise AssertionError(f"{left} messages could not be read from {topology.REQUESTS}.")
    return frozenset(found)


def _failures_of_strangers(seen: Seen) -> list[str]:
    found = []
    for kind, expected in EXPECTED_OF_STRANGERS.items():
        answers = {int(status): count for status, count in seen.strangers.get(kind, {}).items()}
        if not answers:
            found.append(f"No stranger of the kind {kind} came.")
        if wrong := {status: count for status, count in answers.items() if status not in expected}:
            found.append(f"Strangers of the kind {kind} were answered with {wrong}.")
        if kind in NEVER_UNANSWERED and set(answers) == {NO_ANSWER}:
            found.append(f"No stranger of the kind {kind} was answered.")
    return found


def _numbers(ids: frozenset[str], kind: int) -> set[int]:
    return {UUID(one).int & 0xFFFF_FFFF_FFFF for one in ids if UUID(one).int >> 96 == kind}


def _by_weather(seen: Seen) -> dict[str, dict[str, float]]:
    """Return how many posts a second were answered, and how many with 202, in each kind of weather."""
    seconds: dict[str, float] = defaultdict(float)
    answered: dict[str, Counter[bool]] = defaultdict(Counter)
    for change, after in zip_longest(FORECAST, FORECAST[1:]):
        seconds[change.name] += ((after.share if after else 1.0) - change.share) * seen.seconds
    for _, sent_at, status, _ in seen.posted:
        name = [change.name for change in FORECAST if change.share * seen.seconds <= sent_at][-1]
        answered[name][status == 202] += status != NO_ANSWER
    return {
        name: {
            "answered_per_s": round(answered[name].total() / seconds[name], 1),
            "accepted_per_s": round(answered[name][True] / seconds[name], 1),
        }
        for name in seconds
    }


def as_json(seen: Seen, *, rate: float, fired: Mapping[str, int]) -> dict[str, Any]:
    """Return the figures that the run ends with."""
    milliseconds = [ms for _, _, status, ms in seen.posted if status != NO_ANSWER]
    accepted = [ms for _, _, status, ms in seen.posted if status == 202]
    return {
        "rate_asked": rate,
        "rate_reached": round(len(seen.posted) / seen.seconds, 1),
        "posts": len(seen.posted),
        "by_status": {str(status): count for status, count in sorted(seen.statuses.items())},
        "ms": {"p50": round(percentile(milliseconds, 0.5), 1), "p99": round(percentile(milliseconds, 0.99), 1)},
        "ms_of_202": {"p50": round(percentile(accepted, 0.5), 1), "p99": round(percentile(accepted, 0.99), 1)},
        "by_weather": _by_weather(seen),
        "longest_silence_s": round(longest_silence_seconds(seen.posted, seen.seconds), 2),
        "queue_ids": len(_numbers(seen.queued, HONEST)),
        "missing": len(seen.missing),
        "rss_mib": {
            "start": round(seen.rss_mib[0]),
            "middle": round(seen.rss_in(0.5)),
            "end": round(seen.rss_in(1.0)),
            "most": round(max(seen.rss_mib)),
        },
        "faults": dict(fired),
        "strangers": {kind: dict(answers) for kind, answers in seen.strangers.items()},
    }
