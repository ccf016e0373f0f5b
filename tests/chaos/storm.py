"""The plan carried out: faults begin and end in their time, whoever dies by himself is started again, life goes on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError

from deploy.local.errors import LocalServiceError
from deploy.local.processes import log_tail
from tests.chaos.faults import Fault, fault_of
from tests.chaos.life import Life
from tests.chaos.plan import Strike
from tests.chaos.stage import Post, Stage

GRACE_SECONDS = 25.0
"""A fault that has hit nobody when it is over goes on until it has, at most so much longer ..."""
TIMES = 3
"""... and comes again when its place is free, so often in all at most: notifications can only be dropped while there
are subscriptions, and other faults may keep a worker from making them for as long."""
OPERATORS_PATIENCE = 20
_OPERATORS_PAUSE_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_CLIENT_STATES_EVERY_SECONDS = 5.0


@dataclass
class _Going:
    strike: Strike
    fault: Fault
    ends_at: float


class Storm:
    """One run of the plan; afterwards `fired` and `crashes` tell what it was."""

    def __init__(self, stage: Stage, life: Life, tell: Callable[[str], None]) -> None:
        self.fired: Counter[str] = Counter()
        self.unfired: list[Strike] = []
        self.crashes: list[str] = []
        self.restarts = 0
        self.client_states: set[str] = set()
        self._stage = stage
        self._life = life
        self._tell = tell
        self._going: list[_Going] = []
        self._missed: Counter[Strike] = Counter()
        self._client_states_at = 0.0
        self._operators: list[threading.Thread] = []

    def rage(self, plan: Sequence[Strike], seconds: float) -> None:
        """Carry out the plan, and go on for at least `seconds`."""
        began = time.monotonic()
        waiting = list(plan)
        while waiting or self._going or time.monotonic() - began < seconds:
            now = time.monotonic() - began
            waiting += self._end_what_is_over(now)
            waiting = self._begin_what_is_due(waiting, now)
            self.start_again_who_ended()
            self._life.go_on()
            self._collect_client_states()
            time.sleep(_LOOK_SECONDS)
        for operator in self._operators:
            operator.join()

    def _begin_what_is_due(self, waiting: list[Strike], now: float) -> list[Strike]:
        """Begin what is due at places where nothing goes on; return what is left."""
        left = []
        taken = {going.strike.place for going in self._going}
        for strike in waiting:
            if strike.at_seconds > now or strike.place in taken:
                left.append(strike)
            else:
                self._tell(f"{now:6.1f} s  {strike.kind.replace('_', ' ')}, for {strike.seconds:.1f} s")
                fault = fault_of(strike, self._stage)
                fault.begin()
                self._going.append(_Going(strike, fault, now + strike.seconds))
            taken.add(strike.place)
        return left

    def _end_what_is_over(self, now: float) -> list[Strike]:
        """End what is over; return what is to come again."""
        again = []
        for going in [one for one in self._going if now >= one.ends_at]:
            fired = going.fault.has_fired()
            if not fired and now < going.ends_at + GRACE_SECONDS:
                continue
            going.fault.end()
            self._going.remove(going)
            if fired:
                self.fired[going.strike.kind] += 1
            else:
                self._tell(f"{now:6.1f} s  {going.strike.kind.replace('_', ' ')} hit nobody")
                self._missed[going.strike] += 1
                if self._missed[going.strike] < TIMES:
                    again.append(going.strike)
                else:
                    self.unfired.append(going.strike)
            if going.strike.kind == "secret_revoked":
                self._let_an_operator_check()
        return again

    def start_again_who_ended(self) -> None:
        """What a supervisor does; a worker that finds no database when it starts ends, as it says it does."""
        for post in self._stage.posts:
            if self._is_meant_to_be_dead(post) or post.process is None or post.process.exit_status is None:
                continue
            self.restarts += 1
            if _had_started(post):
                self.crashes.append(f"{post.process.name} ended with status {post.process.exit_status}")
                self._tell(f"{self.crashes[-1]}. {log_tail(post.process.log)}")
            post.begin()

    def _is_meant_to_be_dead(self, post: Post) -> bool:
        kinds = {f"{going.strike.kind}" for going in self._going}
        return (post in self._stage.workers and "worker_killed" in kinds) or (
            post in self._stage.webhooks and "webhook_killed" in kinds
        )

    def _let_an_operator_check(self) -> None:
        """Whoever gives a secret back says so, again and again while the storm is in the way."""

        def check() -> None:
            for _ in range(OPERATORS_PATIENCE):
                # The check may fail, or the worker may not be told of it; and the database may be dead just now.
                with suppress(LocalServiceError, OperationalError):
                    self._stage.system.entra_sms("tenants", "check")
                    time.sleep(_OPERATORS_PAUSE_SECONDS)
                    if self._stage.is_tenant_active():
                        return
                time.sleep(_OPERATORS_PAUSE_SECONDS)

        self._operators.append(threading.Thread(target=check, daemon=True))
        self._operators[-1].start()

    def _collect_client_states(self) -> None:
        if time.monotonic() < self._client_states_at:
            return
        self._client_states_at = time.monotonic() + _CLIENT_STATES_EVERY_SECONDS
        found = self._stage.control.call("GET", "subscriptions")["subscriptions"]
        self.client_states |= {one["clientState"] for one in found if one["clientState"]}


def _had_started(post: Post) -> bool:
    log = "" if post.process is None else post.process.log.read_text(errors="replace")
    return "worker_started" in log or "webhook_started" in log
