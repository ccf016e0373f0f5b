"""What is told to operators: what came of each command and each full round, and warnings.

A result is a row, written in the transaction of what it tells, and a message on the queue `sync.results`, published
afterwards until RabbitMQ has confirmed it. The queue is a window of bounded size; `entra-sms results` reads the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, and_, delete, exists, insert, select, update
from sqlalchemy.engine import RowMapping

from common import logging
from common.broker import outgoing
from common.broker.publisher import Publisher
from common.clock import to_text
from common.db.engine import Database
from common.db.tables import command_parts, commands, holds, results, tenants
from common.db.tenants import TenantState
from common.messages import Stream
from worker import ledger, result_words
from worker.result_words import COUNTS

RESULTS_A_TICK = 50
TROUBLES_TOLD = 20
"""A result names so many troubles at most; it tells how many there are."""
PUBLISH_AGAIN = timedelta(seconds=30)
KEPT = timedelta(days=30)
TIDY_EVERY = timedelta(hours=1)

log = logging.get("results")


def note(
    connection: Connection,
    *,
    kind: str,
    outcome: str,
    summary: str,
    now: datetime,
    tenant_id: str | None = None,
    command_id: str | None = None,
    **facts: object,
) -> None:
    """Tell operators something, as soon as this transaction is committed.

    Args:
        connection: The transaction of what is told.
        kind: ``command``, ``round`` or ``warning``.
        outcome: ``done``, ``failed``, ``refused``, ``repeated`` or ``warning``.
        summary: One sentence for people: names of tenants, ids and counts, nothing of a person.
        now: The database's time.
        tenant_id: Whose it is, if it is about one tenant.
        command_id: The command that it answers.
        facts: What else is in the body, for programs.
    """
    body = {"summary": summary, "outcome": outcome, "at": to_text(now), "tenant_id": tenant_id, **facts}
    connection.execute(
        insert(results).values(
            message_id=str(uuid4()),
            at=now,
            kind=kind,
            tenant_id=tenant_id,
            command_id=command_id,
            outcome=outcome,
            summary=summary,
            body={name: value for name, value in body.items() if value is not None},
            publish_after=now,
        )
    )


def note_round(connection: Connection, row: Mapping[str, Any]) -> None:
    """Tell that a full round has ended; `row` is that of the table `rounds`."""
    seconds = (row["ended_at"] - row["began_at"]).total_seconds()
    name = connection.scalar(select(tenants.c.name).where(tenants.c.tenant_id == row["tenant_id"]))
    note(
        connection,
        kind="round",
        outcome="done",
        summary=result_words.of_round(str(name), row, seconds),
        now=row["ended_at"],
        tenant_id=row["tenant_id"],
        tenant=name,
        stream=str(row["stream"]),
        reason=str(row["reason"]),
        seconds=round(seconds, 1),
        **{count: row[count] for count in COUNTS},
    )


def note_hold(connection: Connection, tenant_id: str, stream: Stream, hold_id: int, held: int, now: datetime) -> None:
    """Tell that removals are held, and wait for a decision."""
    name = connection.scalar(select(tenants.c.name).where(tenants.c.tenant_id == tenant_id))
    note(
        connection,
        kind="warning",
        outcome="warning",
        summary=result_words.of_hold(str(name), stream, hold_id, held),
        now=now,
        tenant_id=tenant_id,
        tenant=name,
        stream=str(stream),
        what="removals_held",
        hold=hold_id,
        held=held,
    )


class Results:
    """Finishes commands whose parts are all answered, and publishes what is to be told. Any number of workers may."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher
        self._tidy_at: datetime | None = None

    def tell(self) -> None:
        """Look once at what there is to tell; quick when there is nothing.

        Raises:
            DatabaseUnavailableError, BrokerUnavailableError: what was not told is told at a later look.
        """
        self._finish_commands()
        claimed = self._claim()
        if claimed:
            messages = [
                outgoing.result(row["kind"], row["body"], message_id=row["message_id"], command_id=row["command_id"])
                for row in claimed
            ]
            self._publisher.publish_all(messages, timeout_seconds=10.0)
            self._forget_to_publish([row["result_id"] for row in claimed])
        self._tidy()

    def _finish_commands(self) -> None:
        open_ = (commands.c.finished_at.is_(None), commands.c.noted_at.is_not(None))
        unanswered = exists().where(
            command_parts.c.command_id == commands.c.command_id, command_parts.c.answered_at.is_(None)
        )
        with self._database.read() as connection:
            if (
                connection.scalar(select(commands.c.command_id).where(commands.c.finished_at.is_(None)).limit(1))
                is None
            ):
                return
        with self._database.write() as connection:
            now = self._database.now(connection)
            _answer_for_paused(connection, now)
            query = select(commands).where(*open_, ~unanswered).order_by(commands.c.received_at)
            finished = (
                connection.execute(query.limit(RESULTS_A_TICK).with_for_update(skip_locked=True)).mappings().all()
            )
            for command in finished:
                _note_command(connection, command, now)
                mine = commands.c.command_id == command["command_id"]
                connection.execute(update(commands).where(mine).values(finished_at=now))

    def _claim(self) -> Sequence[RowMapping]:
        """Take what is to be published; should this worker die over it, it is taken again a little later."""
        with self._database.read() as connection:
            due = select(results.c.result_id).where(results.c.publish_after <= self._database.now(connection)).limit(1)
            if connection.scalar(due) is None:
                return []
        with self._database.write() as connection:
            now = self._database.now(connection)
            query = select(results).where(results.c.publish_after <= now).order_by(results.c.result_id)
            claimed = connection.execute(query.limit(RESULTS_A_TICK).with_for_update(skip_locked=True)).mappings().all()
            mine = results.c.result_id.in_([row["result_id"] for row in claimed])
            connection.execute(update(results).where(mine).values(publish_after=now + PUBLISH_AGAIN))
        return claimed

    def _forget_to_publish(self, result_ids: Sequence[int]) -> None:
        with self._database.write() as connection:
            connection.execute(update(results).where(results.c.result_id.in_(result_ids)).values(publish_after=None))

    def _tidy(self) -> None:
        """Erase what is old; a command that is not finished is kept."""
        with self._database.read() as connection:
            now = self._database.now(connection)
        if self._tidy_at is not None and now < self._tidy_at:
            return
        self._tidy_at = now + TIDY_EVERY
        with self._database.write() as connection:
            connection.execute(delete(results).where(results.c.at < now - KEPT))
            connection.execute(delete(commands).where(commands.c.finished_at < now - KEPT))


def _answer_for_paused(connection: Connection, now: datetime) -> None:
    """Nobody else would answer what a tenant was asked for before it was paused."""
    paused = select(tenants.c.tenant_id).where(tenants.c.state == TenantState.PAUSED)
    mine = and_(command_parts.c.answered_at.is_(None), command_parts.c.tenant_id.in_(paused))
    connection.execute(update(command_parts).where(mine).values(answered_at=now, error=ledger.PAUSED))


def _note_command(connection: Connection, command: RowMapping, now: datetime) -> None:
    parts = connection.execute(
        select(command_parts, tenants.c.name)
        .join(tenants, tenants.c.tenant_id == command_parts.c.tenant_id)
        .where(command_parts.c.command_id == command["command_id"])
        .order_by(tenants.c.name, command_parts.c.part.desc())
    ).all()
    failed = [part for part in parts if part.error is not None]
    tenant_ids = {part.tenant_id for part in parts}
    refused = command["problem"] is not None
    held = _open_holds(connection, parts)
    seconds = (now - command["received_at"]).total_seconds()
    facts: dict[str, object] = {
        "asked": command["asked"],
        "by": command["asked_by"],
        "message_id": command["command_id"],
        "seconds": round(seconds, 1),
    }
    if refused:
        facts |= {"problem": command["problem"], "right": command["note"]}
    else:
        facts |= {
            "note": command["note"],
            "tenants": len(tenant_ids),
            **{count: sum(getattr(part, count) for part in parts) for count in COUNTS},
            "troubles": [_trouble(part) for part in failed[:TROUBLES_TOLD]] or None,
            "troubles_in_all": len(failed) or None,
            "held": [{"tenant_id": one.tenant_id, "hold": one.hold_id} for one in held] or None,
        }
    note(
        connection,
        kind="command",
        outcome="refused" if refused else "failed" if failed else "done",
        summary=result_words.of_command(command, parts, [one.hold_id for one in held], seconds),
        now=now,
        tenant_id=tenant_ids.pop() if len(tenant_ids) == 1 else None,
        command_id=command["command_id"],
        **facts,
    )
    log.info("result", command=command["asked"].get("command"), failed=len(failed), refused=refused)


def _open_holds(connection: Connection, parts: Sequence[Row[Any]]) -> Sequence[Any]:
    """Return the open holds of the streams that a command was about: whoever asked thinks that all is done."""
    about = {(part.tenant_id, part.part) for part in parts}
    query = select(holds.c.tenant_id, holds.c.stream, holds.c.hold_id).where(holds.c.ended_at.is_(None))
    return [one for one in connection.execute(query.order_by(holds.c.hold_id)) if (one.tenant_id, one.stream) in about]


def _trouble(part: Row[Any]) -> dict[str, str]:
    return {"tenant_id": part.tenant_id, "tenant": part.name, "part": part.part, "error": part.error}
