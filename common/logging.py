"""Log lines: one event a line, with a stable `action` word and the same names for the same things.

Never in a log line: secrets, tokens, delta links, phone numbers, names, mail addresses, bodies of messages.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from common.config import Settings

Logger = structlog.stdlib.BoundLogger

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
NOISY = {"pika": logging.CRITICAL, "alembic": logging.WARNING, "urllib3": logging.ERROR, "msal": logging.CRITICAL}
"""pika reports every lost connection by itself; ours say it once and with what happens next. MSAL writes an answer that
is cut short into the log, with the token in it."""


def configure(settings: Settings, process: str) -> None:
    """Set logging up for this process; `process` is ``webhook``, ``worker`` or ``console``."""
    timestamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="at")
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _naming(process),
        structlog.stdlib.add_log_level,
        timestamp,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.EventRenamer("action"),
                *_rendering(settings.log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(LEVELS[settings.log_level])
    for name, level in NOISY.items():
        logging.getLogger(name).setLevel(level)


def get(area: str) -> Logger:
    """Return the logger of an area; safe at import, since it looks the configuration up when first used."""
    logger: Logger = structlog.stdlib.get_logger(area)
    return logger


def _naming(process: str) -> structlog.typing.Processor:
    """Put the process into every line, whichever thread writes it (a context variable would stay in its own)."""

    def name(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["process"] = process
        return event

    return name


def _rendering(log_format: str) -> list[structlog.typing.Processor]:
    if log_format == "text":
        return [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                event_key="action",
                timestamp_key="at",
                # Where rich is installed, structlog's own choice shows the local variables: secrets, people.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
