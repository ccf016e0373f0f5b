"""Waiting for the answer to a command; the progress of whole rounds is shown by `console.waiting`."""

from __future__ import annotations

import time

from console import output, queues
from console.connection import Installation
from console.exits import ConsoleError, Exit
from console.reads import results

LOOK_SECONDS = 0.3
STILL_SECONDS = 15.0
GOES_ON = "It goes on without you; its answer will be in: entra-sms results"


def see_answered(installation: Installation, command_id: str, timeout_seconds: float | None) -> Exit:
    """Wait until the worker has answered the command, and print the answer.

    Raises:
        ConsoleError: it was refused or failed, or the time is over.
    """
    began, told = time.monotonic(), False
    try:
        while True:
            with installation.database.read() as connection:
                found = results.of_command(connection, command_id)
                taken = results.is_taken(connection, command_id)
            if found is not None:
                return _conclude(found)
            waited_seconds = time.monotonic() - began
            if timeout_seconds is not None and waited_seconds >= timeout_seconds:
                raise ConsoleError(f"No answer after {timeout_seconds:g} s. {GOES_ON}", Exit.TIMED_OUT)
            if waited_seconds > STILL_SECONDS and not told and not taken:
                told = True
                listening = queues.workers(installation.settings)
                output.note(
                    "No worker listens on the queue. Start one with: python -m worker"
                    if listening == 0
                    else "No worker has taken the command yet."
                )
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        output.note(GOES_ON)
        return Exit.INTERRUPTED


def _conclude(found: results.Result) -> Exit:
    if found.outcome != "done":
        raise ConsoleError(found.summary)
    output.say(output.harmless(found.summary))
    return Exit.OK
