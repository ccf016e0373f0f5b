"""The exit codes of every command, and which error ends with which."""

from __future__ import annotations

from enum import IntEnum

from common.errors import AccessError, EntraSmsError, RetryLaterError, SettingsError


class Exit(IntEnum):
    """What a script learns from the exit code; `docs/console.md` has the same table."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ACCESS_REFUSED = 3
    UNREACHABLE = 4
    TIMED_OUT = 5
    HELD = 6
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class ConsoleError(EntraSmsError):
    """Something a person asked for cannot be done; the text says why and what to do instead."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: EntraSmsError) -> Exit:
    """Return the exit code that `error` ends with."""
    if isinstance(error, ConsoleError):
        return error.code
    if isinstance(error, SettingsError):
        return Exit.USAGE
    if isinstance(error, AccessError):
        return Exit.ACCESS_REFUSED
    return Exit.UNREACHABLE if isinstance(error, RetryLaterError) else Exit.FAILED
