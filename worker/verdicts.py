"""What becomes of a request whose turn failed: one table from the error's family to the reaction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from common.backoff import delay_seconds
from common.errors import AccessError, EntraSmsError, RetryLaterError, SettingsError
from common.graph.answers import GraphThrottledError

ATTEMPTS_LIMIT = 8
"""After so many failures in a row the stream is left to the poll: about four minutes with the usual delays."""


class Reaction(Enum):
    """What to do with the deliveries."""

    RETRY = auto()
    """Publish the request again, delayed, then settle."""
    GIVE_UP = auto()
    """Settle: the poll will see to the stream; commands that wait are answered with the error."""
    SETTLE = auto()
    """Settle: the failure is noted where it belongs."""
    REJECT = auto()
    """Give up, and make dead letters of the messages, with the reason: a defect of ours; the poll may meet it again."""


@dataclass(frozen=True)
class Verdict:
    """The reaction, and for a retry the delay."""

    reaction: Reaction
    delay_seconds: float = 0.0


def verdict_on(error: Exception, attempt: int) -> Verdict:
    """Return the reaction to `error` at try number `attempt` (from 0)."""
    if isinstance(error, RetryLaterError):
        throttled = isinstance(error, GraphThrottledError)
        asked_seconds = error.delay_seconds or None if throttled else error.delay_seconds
        # Waiting as long as Graph asks is no failure of the request: it does not count towards giving up.
        if attempt >= ATTEMPTS_LIMIT and not (throttled and asked_seconds):
            return Verdict(Reaction.GIVE_UP)
        return Verdict(Reaction.RETRY, delay_seconds(attempt, asked_seconds=asked_seconds))
    if isinstance(error, AccessError | SettingsError):
        return Verdict(Reaction.SETTLE)
    if isinstance(error, EntraSmsError):
        return Verdict(Reaction.GIVE_UP)
    return Verdict(Reaction.REJECT)
