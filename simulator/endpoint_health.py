"""How Graph treats a slow notification endpoint: first it delays, then it drops.

More than 10 % of answers in ten minutes slower than the first-attempt window: new notifications come ten minutes
late. More than 15 % slower than the retry window: new notifications are dropped. Every ten minutes a few probes
decide whether the endpoint has recovered. Judged per host, over all subscriptions.

Source: "Receive change notifications through webhooks", throttling of slow endpoints.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

WINDOW_SECONDS = 600.0
SLOW_SHARE = 0.10
DROP_SHARE = 0.15
PROBES = 3

Verdict = Literal["send", "delay", "drop"]
State = Literal["healthy", "slow", "drop"]


@dataclass
class EndpointHealth:
    """The state of one host; times are simulated seconds, durations are real seconds.

    Attributes:
        slow_after: Duration from which an answer counts as slow.
        drop_after: Duration from which an answer counts as far too slow.
        minimum: Answers in the window before anything is concluded.
    """

    slow_after: float
    drop_after: float
    minimum: int
    state: State = "healthy"
    until: float = 0.0
    _answers: deque[tuple[float, float]] = field(default_factory=deque)
    _probes_out: int = 0
    _probe_answers: list[float] = field(default_factory=list)

    def verdict(self, now: float) -> Verdict:
        """Decide about a new notification."""
        if self.state == "healthy":
            return "send"
        if now >= self.until and self._probes_out < PROBES:
            self._probes_out += 1
            return "send"
        return "delay" if self.state == "slow" else "drop"

    def answered(self, now: float, duration: float) -> None:
        """Take note of how long an answer took, or how long it was waited for in vain."""
        if self.state != "healthy" and now >= self.until:
            self._probe_answers.append(duration)
            if len(self._probe_answers) >= PROBES:
                self._leave_or_stay(now)
            return
        self._answers.append((now, duration))
        while self._answers and self._answers[0][0] <= now - WINDOW_SECONDS:
            self._answers.popleft()
        if len(self._answers) >= self.minimum:
            self._enter(self._judge([each for _, each in self._answers]), now)

    def _judge(self, durations: list[float]) -> State:
        def share(limit: float) -> float:
            return sum(duration > limit for duration in durations) / len(durations)

        if share(self.drop_after) > DROP_SHARE:
            return "drop"
        return "slow" if share(self.slow_after) > SLOW_SHARE else "healthy"

    def _enter(self, state: State, now: float) -> None:
        rank = ("healthy", "slow", "drop")
        if rank.index(state) > rank.index(self.state):
            self.state, self.until = state, now + WINDOW_SECONDS
            self._forget_probes()

    def _leave_or_stay(self, now: float) -> None:
        self.state = self._judge(self._probe_answers)
        self.until = now + WINDOW_SECONDS
        self._answers.clear()
        self._forget_probes()

    def _forget_probes(self) -> None:
        self._probes_out = 0
        self._probe_answers.clear()
