"""The company while it is struck: it lives by itself, and marked people come, change and go."""

from __future__ import annotations

import random
import time

from deploy.local.control import Control
from tests.chaos.marks import marked_person, marked_phone

LIVELY_PER_SECOND = 5.0
MARKED_PEOPLE = 60
_MARKED_EVERY_SECONDS = 1.0
_RANDOM_EVERY_SECONDS = 5.0
_RANDOM_AT_ONCE = 6


class Life:
    """Begin it, call `go_on` often, and end it."""

    def __init__(self, control: Control, seed: int) -> None:
        self._control = control
        self._seed = seed
        self._source = random.Random(f"life {seed}")
        self._marked: list[str] = []
        self._hired = 0
        self._next_marked_at = 0.0
        self._next_random_at = 0.0

    def found(self) -> None:
        """Let the marked people in."""
        for _ in range(MARKED_PEOPLE):
            self._hire()

    def begin(self) -> None:
        self._control.call("PUT", "lively", {"changes_per_second": LIVELY_PER_SECOND, "seed": self._seed})

    def go_on(self) -> None:
        """Make what is due: a change of a marked person, or a few changes of any kind."""
        now = time.monotonic()
        if now >= self._next_marked_at:
            self._next_marked_at = now + _MARKED_EVERY_SECONDS
            self._change_a_marked_one()
        if now >= self._next_random_at:
            self._next_random_at = now + _RANDOM_EVERY_SECONDS
            body = {"count": _RANDOM_AT_ONCE, "seed": self._source.randrange(2**31)}
            self._control.call("POST", "random-changes", body)

    def end(self) -> None:
        """Go still."""
        self._control.call("DELETE", "lively")

    def _change_a_marked_one(self) -> None:
        object_id = self._source.choice(self._marked)
        status = self._control.call("GET", f"users/{object_id}")["status"]
        if status == "purged":
            self._marked.remove(object_id)
            self._hire()
        elif status == "deleted":
            self._control.call("POST", f"users/{object_id}/restore")
        elif self._source.random() < 0.2:
            self._control.call("DELETE", f"users/{object_id}")
        else:
            phone = marked_phone(self._source.randrange(1_000))
            self._control.call("PATCH", f"users/{object_id}", {"mobilePhone": phone})

    def _hire(self) -> None:
        self._hired += 1
        self._marked.append(self._control.call("POST", "users", marked_person(self._hired))["id"])
