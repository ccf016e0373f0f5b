"""Seeing a command through until every stream that it asked for is answered.

The worker leaves a row in `rounds` for every round that answers a command; until it is there, `streams` tells how far
the round is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from sqlalchemy import Connection

from common.errors import DatabaseUnavailableError
from common.messages import Stream
from console import hold_words, output, phases, queues
from console.asked import Asked
from console.connection import Installation
from console.exits import ConsoleError, Exit
from console.progress import Display, display
from console.reads import advance, holds, overview
from console.reads.advance import Look, Mark

Command = TypeVar("Command", bound=Callable[..., Any])

LOOK_SECONDS = 0.3
STILL_SECONDS = 15.0
"""Nothing has moved for so long: the person is told what may be the matter."""
DATABASE_AWAY_SECONDS = 60.0
GOES_ON = "It goes on without you. Watch it with: entra-sms status"


def wait_options(command: Command) -> Command:
    """Add ``--wait`` and ``--timeout`` to a command, as `wait` and `timeout_seconds`."""
    timeout = click.option(
        "--timeout",
        "timeout_seconds",
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True),
        callback=_refuse_timeout_alone,
        help="With --wait: give up waiting after so long; the work goes on.",
    )
    wait = click.option("--wait", is_flag=True, is_eager=True, help="Show the progress, and end when it is done.")
    return wait(timeout(command))


def _refuse_timeout_alone(ctx: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and not ctx.params["wait"]:
        raise click.UsageError("--timeout says how long to wait, so it needs --wait.")
    return value


def _nothing(_connection: Connection) -> None:
    """Nothing speaks against going on to wait."""


class Waiting:
    """Looks at the database several times a second, and shows what it sees.

    `refuse_if_vain` is called with each look, and raises when what was asked for will not be answered any more.
    """

    def __init__(
        self,
        installation: Installation,
        asked: Sequence[Asked],
        mark: Mark,
        timeout_seconds: float | None,
        *,
        refuse_if_vain: Callable[[Connection], None] = _nothing,
    ) -> None:
        self._installation = installation
        self._database = installation.database
        self._asked = tuple(asked)
        self._tenant_ids = sorted({one.tenant_id for one in asked})
        self._mark = mark
        self._timeout_seconds = timeout_seconds
        self._refuse_if_vain = refuse_if_vain
        self._began = self._moved_at = self._seen_at = time.monotonic()
        self._totals: dict[tuple[str, Stream], int] | None = None
        self._signs: object = None
        self._told: set[str] = set()
        self._told_stillness = False

    def see_through(self) -> Exit:
        """Wait for the end, show the progress, report the result: all is done, or removals are held.

        Raises:
            ConsoleError: a round failed, the tenant has no access, or the time is over.
        """
        try:
            with display() as shown:
                self._wait(shown)
        except KeyboardInterrupt:
            output.note(GOES_ON)
            return Exit.INTERRUPTED
        return self._conclude()

    def _conclude(self) -> Exit:
        names = {one.tenant_id: one.tenant_name for one in self._asked}
        with self._database.read() as connection:
            waiting = holds.open_holds(connection, names)
            for tenant_id, name in names.items():
                size = overview.size_of(connection, tenant_id)
                but = ", except for held removals" if any(one.tenant_id == tenant_id for one in waiting) else ""
                output.say(
                    f"The address book of {name} is up to date{but}: {output.plural(size.people, 'person', 'people')}, "
                    f"{output.number(size.reachable)} with a number, in {output.plural(size.groups, 'group')}."
                )
        for one in waiting:
            output.warn(hold_words.warning(one))
        return Exit.HELD if waiting else Exit.OK

    def _wait(self, shown: Display) -> None:
        while True:
            look = self._look(shown)
            if look is not None:
                shown.show([phases.meter(one, look, self._total_of(one)) for one in self._asked])
                self._raise_failure(look)
                if self._is_answered(look):
                    return
                self._tell_troubles(look, shown)
            if self._timeout_seconds is not None and time.monotonic() - self._began >= self._timeout_seconds:
                raise ConsoleError(f"Not complete after {self._timeout_seconds:g} s. {GOES_ON}", Exit.TIMED_OUT)
            time.sleep(LOOK_SECONDS)

    def _look(self, shown: Display) -> Look | None:
        """Read how things stand; a database that is away for a while is waited for."""
        try:
            with self._database.read() as connection:
                now = self._database.now(connection)
                if self._totals is None:
                    self._totals = advance.known_totals(connection, self._tenant_ids)
                look = advance.look(connection, self._tenant_ids, now=now, after=self._mark.round_id)
                if not self._is_answered(look):
                    self._refuse_if_vain(connection)
        except DatabaseUnavailableError as error:
            if time.monotonic() - self._seen_at > DATABASE_AWAY_SECONDS:
                raise
            self._tell(shown, f"{error} Waiting for it to come back.")
            return None
        self._seen_at = time.monotonic()
        return look

    def _is_answered(self, look: Look) -> bool:
        return all(one.answer(look) for one in self._asked)

    def _total_of(self, asked: Asked) -> int | None:
        return self._totals.get((asked.tenant_id, asked.stream)) if self._totals is not None else None

    def _raise_failure(self, look: Look) -> None:
        is_still = time.monotonic() - self._began > STILL_SECONDS
        for asked in self._asked:
            failure = phases.failure(asked, look, asked_at=self._mark.at, is_still=is_still)
            if failure is not None:
                raise failure

    def _tell_troubles(self, look: Look, shown: Display) -> None:
        for asked in self._asked:
            trouble = phases.last_trouble(asked, look)
            if trouble is not None:
                self._tell(shown, trouble)
        signs = (look.advances, look.pauses, look.answers)
        if signs != self._signs:
            self._signs, self._moved_at, self._told_stillness = signs, time.monotonic(), False
        still_seconds = time.monotonic() - self._moved_at
        if still_seconds > STILL_SECONDS and not self._told_stillness:
            self._told_stillness = True
            shown.note(phases.stillness(still_seconds, queues.workers(self._installation.settings)))

    def _tell(self, shown: Display, text: str) -> None:
        """Say it once: the same trouble is seen at every look."""
        if text not in self._told:
            self._told.add(text)
            shown.note(output.harmless(text))
