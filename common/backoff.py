"""How long to wait before the next try."""

from __future__ import annotations

import random


def delay_seconds(attempt: int, *, asked_seconds: float | None = None, longest_seconds: float = 300.0) -> float:
    """Return the delay before try number `attempt` + 1 (attempts count from 0).

    What the other side asked for is honoured and never undercut (plus up to 20 %, so that not everybody returns at
    once); otherwise 1, 2, 4, ... seconds up to `longest_seconds`, with full jitter above a half.
    Source: Microsoft Graph throttling guidance.
    """
    if asked_seconds is not None:
        return asked_seconds * random.uniform(1.0, 1.2)  # noqa: S311 - jitter is no secret
    ceiling = min(longest_seconds, 2.0 ** min(attempt, 20))
    return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter is no secret
