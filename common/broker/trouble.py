"""What is wrong with the broker, in one sentence: its address and the reason, never the credentials."""

from __future__ import annotations

from collections.abc import Iterable

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout
from pika.exceptions import (
    AMQPError,
    AMQPHeartbeatTimeout,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ConnectionOpenAborted,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

ERRORS: tuple[type[Exception], ...] = (AMQPError, AMQPConnectorException, OSError)
"""Everything that pika raises when the broker or the network is the trouble."""

RESET_AT_ONCE = ("getpeername() failed", "Expected self conn=")
"""What pika says in a ValueError or a failed assertion when a connection ends before it has looked at it."""

PRECONDITION_FAILED = 406
REFUSALS = {
    403: "it refuses the user or the password",
    530: "it has no such vhost, or does not let the user in",
    541: "something in it failed (INTERNAL_ERROR), and its own log says what; if that lasts, start RabbitMQ anew",
}
SILENCE = "it does not answer"
REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((ProbableAuthenticationError,), REFUSALS[403]),
    ((ProbableAccessDeniedError,), REFUSALS[530]),
    ((AMQPConnectorStackTimeout, AMQPHeartbeatTimeout, ConnectionOpenAborted, TimeoutError), SILENCE),
)


def sentence(parameters: pika.ConnectionParameters, error: BaseException | str) -> str:
    """Return what is wrong, and for what only a person can mend also what to do."""
    place = f"{parameters.host}:{parameters.port}"
    if is_declared_otherwise(error):
        return (
            f"RabbitMQ at {place} has a queue or exchange that was declared otherwise: {_closed_with(error)}. Delete "
            "it in RabbitMQ's management pages, best when it is empty: it is declared anew within seconds."
        )
    if isinstance(error, ChannelClosedByBroker):
        return f"RabbitMQ at {place} refuses: {_closed_with(error)}."
    return f"RabbitMQ cannot be reached at {place}: {_reason(error)}."


def is_trouble(error: BaseException) -> bool:
    """Whether the broker or the network is to blame for what pika raised, and not a defect."""
    return isinstance(error, ERRORS) or _is_reset_at_once(error)


def is_declared_otherwise(error: BaseException | str) -> bool:
    """Whether a queue or exchange of ours exists with other arguments: trying again helps only after it is deleted."""
    is_refusal = isinstance(error, ChannelClosedByBroker) and error.reply_code == PRECONDITION_FAILED
    return is_refusal and "inequivalent" in _closed_with(error)


def _reason(error: BaseException | str) -> str:
    if isinstance(error, str):
        return error
    found = _innermost(error)
    if _is_reset_at_once(found):
        return "it closes connections at once"
    for kinds, reason in REASONS:
        if isinstance(found, kinds):
            return reason
    if isinstance(found, ConnectionClosedByBroker):
        return REFUSALS.get(found.reply_code, _closed_with(found))
    return getattr(found, "strerror", None) or type(found).__name__


def _is_reset_at_once(error: BaseException) -> bool:
    return isinstance(error, ValueError | AssertionError) and any(words in str(error) for words in RESET_AT_ONCE)


def _innermost(error: BaseException) -> BaseException:
    """Return the cause that pika has wrapped, often several times."""
    inner = [one for one in (*_exceptions_of(error), *error.args) if isinstance(one, BaseException)]
    return _innermost(inner[-1]) if inner else error


def _exceptions_of(error: BaseException) -> Iterable[object]:
    several: Iterable[object] = getattr(error, "exceptions", ())
    return (*several, getattr(error, "exception", None))


def _closed_with(error: object) -> str:
    return str(getattr(error, "reply_text", "")).removeprefix("PRECONDITION_FAILED - ")
