"""Errors named by the reaction they demand; foreign exceptions become one of these at their adapter.

`worker.verdicts` turns each family into what happens to the delivery. A new failure belongs here only when none of
these reactions fits it.
"""

from __future__ import annotations


class EntraSmsError(Exception):
    """Base of everything this program raises on purpose. Its text is a sentence an operator can read."""


class SettingsError(EntraSmsError):
    """The settings cannot work: the process ends at once and says which setting, why, and what would be right."""


class MessageUnreadableError(EntraSmsError):
    """A message that can never be understood: it goes to the dead letters with this text as the reason."""


class RetryLaterError(EntraSmsError):
    """Passing trouble: the same work is put back and done after `delay_seconds`; nothing is lost."""

    def __init__(self, message: str, delay_seconds: float | None = None) -> None:
        super().__init__(message)
        self.delay_seconds = delay_seconds
        """What the other side asked for; None means: back off by the number of attempts."""


class BrokerUnavailableError(RetryLaterError):
    """RabbitMQ did not confirm in time, or cannot be reached."""


class DatabaseUnavailableError(RetryLaterError):
    """The database cannot be reached or gave up the transaction (deadlock, restart, locked file)."""


class LeaseLostError(RetryLaterError):
    """Another worker has taken the stream over: whatever this one holds must not be committed."""


class AccessError(EntraSmsError):
    """The tenant's credentials or consent do not work: only a person can mend it.

    The tenant is paused with `reason` and `advice`, and retried slowly.
    """

    def __init__(self, reason: str, advice: str, code: str) -> None:
        super().__init__(f"{reason} {advice}")
        self.reason = reason
        self.advice = advice
        self.code = code
        """The AADSTS number or Graph's error code, e.g. ``AADSTS7000215`` or ``Authorization_RequestDenied``."""


class ResyncNeededError(EntraSmsError):
    """The delta token is dead: only a full round helps. Raised only for a request that carried a token."""


class BadPageError(RetryLaterError):
    """Graph answered with something that must not be stored: the round stops, the cursor stays."""
