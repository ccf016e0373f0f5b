"""What an operator decided about held removals is carried out here, under the stream's lease.

* Approved: exactly those that were shown leave the book, those back in the directory not. What was held after they were
  shown is treated like any removal: made if it is within the limit, else it stays held.
* Rejected: nobody leaves; the held removals are forgotten. The full rounds that the command asks for as well look anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, and_, delete, select, update
from sqlalchemy.engine import RowMapping

from common.commands import Command, Verb
from common.db.tables import contacts, held_removals, holds
from common.errors import MessageUnreadableError
from common.messages import Reason, Stream
from worker import metrics
from worker.apply_groups import remove_groups
from worker.book import Writer
from worker.leases import StreamKey, hold
from worker.removal_guard import answer_approval, close, count_held, is_too_many
from worker.turn import Turn


class Decision(StrEnum):
    """What an operator may decide."""

    APPROVE = "approve"
    REJECT = "reject"


def note_decision(connection: Connection, tenant_ids: Sequence[str], command: Command, now: datetime) -> StreamKey:
    """Write down what `command` decides about a hold of one of the tenants; return whose it is.

    Raises:
        MessageUnreadableError: there is no such hold, it has ended, or more is approved than was ever held.
    """
    wanted = and_(holds.c.hold_id == command.hold_id, holds.c.tenant_id.in_(tenant_ids))
    found = connection.execute(select(holds).where(wanted)).mappings().one_or_none()
    if found is None:
        raise MessageUnreadableError(f"This tenant has no hold {command.hold_id}; `entra-sms holds list` shows them.")
    if found["ended_at"] is not None and found["decision_request_id"] != command.command_id:
        raise MessageUnreadableError(f"The hold {command.hold_id} has ended already: {found['outcome']}.")
    if (
        found["ended_at"] is None
        and found["decision_request_id"] not in (None, command.command_id)
        and found["decision"]
    ):
        raise MessageUnreadableError(f"Somebody has just decided about hold {command.hold_id}: {found['decision']}.")
    if command.up_to is not None and command.up_to > found["last_number"]:
        raise MessageUnreadableError(f'"up_to" is too high: the last held removal has number {found["last_number"]}.')
    if found["ended_at"] is None:
        decided = {
            "decision": Decision.APPROVE if command.verb is Verb.APPROVE_REMOVALS else Decision.REJECT,
            "decided_at": now,
            "decided_up_to": command.up_to,
            "decision_request_id": command.command_id,
        }
        connection.execute(update(holds).where(wanted).values(decided))
    return StreamKey(found["tenant_id"], Stream(found["stream"]))


def carry_out_decision(turn: Turn) -> None:
    """Approve or reject, if that was decided about the stream's open hold."""
    key = turn.lease.key
    with turn.database.write() as connection:
        row = hold(turn.database, connection, turn.lease)
        if row["hold_id"] is None:
            return
        decided = connection.execute(select(holds).where(holds.c.hold_id == row["hold_id"])).mappings().one()
        if decided["decision"] is None:
            return
        writer = turn.writer(connection, row, full=False, reason=Reason.APPROVED)
        if decided["decision"] == Decision.REJECT:
            connection.execute(
                delete(held_removals).where(
                    held_removals.c.tenant_id == key.tenant_id, held_removals.c.stream == key.stream
                )
            )
            close(writer, key.stream, "rejected")
        else:
            _approve(writer, key.stream, decided)
    metrics.count_changes(key.stream, writer.counts)


def _approve(writer: Writer, stream: Stream, decided: RowMapping) -> None:
    _remove(writer, stream, up_to=decided["decided_up_to"])
    later = count_held(writer, stream)
    if later and not is_too_many(writer, stream, later):
        writer.reason = Reason(decided["reason"])
        _remove(writer, stream, up_to=None)
        later = 0
    if later:
        undecided = {"decision": None, "decided_up_to": None}
        writer.connection.execute(update(holds).where(holds.c.hold_id == decided["hold_id"]).values(undecided))
    else:
        close(writer, stream, "approved")
    answer_approval(writer, stream, decided["decided_at"], decided["decision_request_id"], writer.counts)


def _remove(writer: Writer, stream: Stream, *, up_to: int | None) -> None:
    """Remove those held up to a number, or all, and forget that they were held."""
    which = and_(held_removals.c.tenant_id == writer.tenant_id, held_removals.c.stream == stream)
    if up_to is not None:
        which = and_(which, held_removals.c.number <= up_to)
    if stream is Stream.USERS:
        mine = contacts.c.tenant_id == writer.tenant_id
        leaving = and_(mine, contacts.c.object_id.in_(select(held_removals.c.object_id).where(which)))
        writer.remove_rows("contact.removed", contacts, leaving, [contacts.c.object_id])
    else:
        remove_groups(writer, list(writer.connection.scalars(select(held_removals.c.object_id).where(which))))
    writer.connection.execute(delete(held_removals).where(which))
