"""A connection to PostgreSQL that waits only so long: libpq itself waits for an answer for ever.

TCP notices a machine that is gone. It does not notice a server that hangs, or a proxy that takes everything and passes
nothing on: only time tells. The same limits are set at the server, which else would keep the locks of a client that
is gone.
"""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import OperationalError

Result = TypeVar("Result")

_LOOK_SECONDS = 0.1
_FAREWELL_SECONDS = 5.0
"""So much longer waits the client than the server, whose own words are better than none."""


class ImpatientConnection(psycopg.Connection[Any]):
    """Closes itself and raises `OperationalError` when a statement is not answered in time."""

    answer_seconds: float | None = None

    def wait(self, gen: PQGen[Result], interval: float = _LOOK_SECONDS, timeout: float | None = None) -> Result:
        """Wait for the server's answer to one statement, or one fetch."""
        if timeout is not None or self.answer_seconds is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds + _FAREWELL_SECONDS)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - the library's name for it, which it asks to be converted
            self.pgconn.finish()  # what the answer would have been is unknown: nothing more may be sent
            raise OperationalError(f"no answer within {self.answer_seconds:g} s") from None


def connect(*arguments: Any, answer_seconds: float, **named: Any) -> ImpatientConnection:
    """Connect as `psycopg.connect` does, and limit statements and idle transactions here and at the server."""
    milliseconds = int(answer_seconds * 1000)
    limits = f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
    named["options"] = f"{named['options']} {limits}" if named.get("options") else limits
    connection = ImpatientConnection.connect(*arguments, **named)
    connection.answer_seconds = answer_seconds
    return connection
