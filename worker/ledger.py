"""The ledger of commands: what was asked for, of which tenants, and what came of it. Each command stands there once.

A command has parts, one for each stream or other thing of a tenant that it is about. Whoever does a part answers it
(`answer`) in the very transaction that does it; when all parts are answered the result is told (`worker.results`).
So a command that is delivered again finds what is done, and a crash in the middle repeats only what is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import uuid4

from sqlalchemy import Connection, func, select, update

from common.commands import Command
from common.db.engine import Database
from common.db.tables import command_parts, commands, tenants

SAME_AGAIN = timedelta(hours=1)
"""So long a command without a message id that comes again is taken for the one with the same body."""

PAUSED = "The tenant is paused: nothing of it is read. `entra-sms tenants resume` ends that."


class Part(StrEnum):
    """What a part of a command is about; the first two are the streams."""

    USERS = "users"
    GROUPS = "groups"
    SUBSCRIPTIONS = "subscriptions"
    ACCESS = "access"
    STATE = "state"


@dataclass(frozen=True)
class Entry:
    """A command's place in the ledger; `noted_at` is set when all that follows from it is written down."""

    command_id: str
    received_at: datetime
    noted_at: datetime | None
    problem: str | None

    @property
    def is_done(self) -> bool:
        """Whether it was carried out; what was refused may be tried again."""
        return self.noted_at is not None and self.problem is None


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def identify(connection: Connection, message_id: str, digest: str, now: datetime, *, came_again: bool) -> str:
    """Return the id of a command: its message id, or one for a command that a person typed without any.

    Without a message id nothing tells a repeated delivery from a command that was typed twice, but this: what comes
    again is the last command that was carried out, if that has the same body.
    """
    if message_id:
        return message_id if message_id.isprintable() else digest_of(message_id.encode(errors="replace"))
    if came_again:
        query = select(commands).where(commands.c.received_at > now - SAME_AGAIN)
        last = connection.execute(query.order_by(commands.c.received_at.desc()).limit(1)).mappings().one_or_none()
        if last is not None and last["digest"] == digest:
            return str(last["command_id"])
    return str(uuid4())


def find(connection: Connection, command_id: str) -> Entry | None:
    row = connection.execute(select(commands).where(commands.c.command_id == command_id)).mappings().one_or_none()
    if row is None:
        return None
    return Entry(row["command_id"], row["received_at"], row["noted_at"], row["problem"])


def enter(database: Database, connection: Connection, command: Command, digest: str, now: datetime) -> None:
    """Write a command down, unless it is there; one that was refused before begins anew."""
    values = {"asked": command.asked, "asked_by": command.by}
    fresh = {"problem": None, "note": None, "noted_at": None, "finished_at": None}
    row = database.insert(commands).values(command_id=command.command_id, digest=digest, received_at=now, **values)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["command_id"],
            set_={"received_at": now, **values, **fresh},
            where=commands.c.problem.is_not(None),
        )
    )


def refuse(
    database: Database,
    connection: Connection,
    command_id: str,
    problem: str,
    now: datetime,
    *,
    digest: str = "",
    right: str | None = None,
) -> None:
    """Write down that a command is refused, and why; parts of it that were noted before are forgotten with it.

    `right` is what would have been right.
    """
    values = {"problem": problem, "note": right, "noted_at": now, "finished_at": None}
    row = database.insert(commands).values(command_id=command_id, digest=digest, received_at=now, asked={}, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["command_id"], set_=values))
    connection.execute(command_parts.delete().where(command_parts.c.command_id == command_id))


def expect(database: Database, connection: Connection, command_id: str, tenant_id: str, part: Part) -> bool:
    """Note that a part of a command is to be done; tell whether it is still to be done.

    Of a tenant that was removed since it was meant there is nothing to be done. The lock makes who removes it wait, and
    comes before those of the streams (`common.db.erasure`).
    """
    there = select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant_id).with_for_update(key_share=True)
    if connection.scalar(there) is None:
        return False
    row = {"command_id": command_id, "tenant_id": tenant_id, "part": part}
    connection.execute(database.insert(command_parts).values(row).on_conflict_do_nothing())
    mine = (command_parts.c.command_id == command_id, command_parts.c.tenant_id == tenant_id)
    query = select(command_parts.c.answered_at).where(*mine, command_parts.c.part == part)
    return connection.execute(query).scalar_one() is None


def answer(
    connection: Connection,
    command_ids: Sequence[str],
    tenant_id: str,
    part: str,
    now: datetime,
    *,
    error: str | None = None,
    note: str | None = None,
    counts: Mapping[str, int] | None = None,
) -> None:
    """Write down what came of a part of some commands; who was answered before stays answered as it was."""
    if not command_ids:
        return
    mine = (
        command_parts.c.command_id.in_(command_ids),
        command_parts.c.tenant_id == tenant_id,
        command_parts.c.part == part,
        command_parts.c.answered_at.is_(None),
    )
    values = {"answered_at": now, "error": error, "note": note, **(counts or {})}
    connection.execute(update(command_parts).where(*mine).values(values))


def waiting(connection: Connection, tenant_id: str, part: Part) -> list[str]:
    """Return the commands that wait for a part of a tenant, oldest first."""
    query = (
        select(command_parts.c.command_id)
        .join(commands, commands.c.command_id == command_parts.c.command_id)
        .where(
            command_parts.c.tenant_id == tenant_id,
            command_parts.c.part == part,
            command_parts.c.answered_at.is_(None),
        )
        .order_by(commands.c.received_at)
    )
    return list(connection.scalars(query))


def waiting_for_object(connection: Connection, tenant_id: str, part: Part, object_id: str) -> list[str]:
    """Return the commands that wait for one object of a stream to be read."""
    asked = waiting(connection, tenant_id, part)
    if not asked:
        return []
    rows = connection.execute(select(commands.c.command_id, commands.c.asked).where(commands.c.command_id.in_(asked)))
    return [row.command_id for row in rows if row.asked.get("object") == object_id]


def close(connection: Connection, command_id: str, now: datetime, note: str | None = None) -> None:
    """All parts of a command are written down: it is not carried out again, and ends when they are answered."""
    mine = (commands.c.command_id == command_id, commands.c.noted_at.is_(None))
    connection.execute(update(commands).where(*mine).values(noted_at=now, note=func.coalesce(note, commands.c.note)))
