"""What the worker told operators: results of commands and full rounds, and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from common.db.tables import commands, results


@dataclass(frozen=True)
class Result:
    """One row; `summary` is a sentence for people, `body` all of it as it was published."""

    result_id: int
    at: datetime
    kind: str
    tenant_id: str | None
    command_id: str | None
    outcome: str
    summary: str
    body: dict[str, Any]


def latest(connection: Connection, *, tenant_id: str | None, limit: int) -> Sequence[Result]:
    """Return the latest results, oldest first; of a tenant only those that are about it alone."""
    query = select(results).order_by(results.c.result_id.desc()).limit(limit)
    if tenant_id is not None:
        query = query.where(results.c.tenant_id == tenant_id)
    return _results(connection, query)[::-1]


def since(connection: Connection, result_id: int, *, tenant_id: str | None, limit: int) -> Sequence[Result]:
    """Return the results after number `result_id`, oldest first."""
    query = select(results).where(results.c.result_id > result_id).order_by(results.c.result_id).limit(limit)
    if tenant_id is not None:
        query = query.where(results.c.tenant_id == tenant_id)
    return _results(connection, query)


def of_command(connection: Connection, command_id: str) -> Result | None:
    """Return the answer to a command, if there is one already."""
    query = select(results).where(results.c.command_id == command_id).order_by(results.c.result_id).limit(1)
    return next(iter(_results(connection, query)), None)


def is_taken(connection: Connection, command_id: str) -> bool:
    """Whether a worker has taken a command from the queue."""
    found = select(commands.c.command_id).where(commands.c.command_id == command_id)
    return connection.scalar(found) is not None


def _results(connection: Connection, query: Any) -> Sequence[Result]:
    return [
        Result(row.result_id, row.at, row.kind, row.tenant_id, row.command_id, row.outcome, row.summary, row.body)
        for row in connection.execute(query)
    ]
