"""Operators' commands: each is done once, however often it is delivered, and answered by one result.

What a command asks for is written into the rows it is about: wishes of streams, states of tenants, objects to be read.
Whoever advances them answers (`worker.ledger`). The requests that are published as well only make it begin at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from common import logging
from common.broker import dead_letters, outgoing
from common.broker.consumer import Delivery
from common.broker.dead_letter import DeadLetter
from common.broker.publisher import Publisher
from common.commands import Command, CommandRefusedError, Verb, decode_command, example
from common.config import Settings
from common.db import tenants
from common.db.engine import Database
from common.db.tables import contacts, groups, rechecks, subscriptions
from common.db.tables import tenants as tenants_table
from common.db.tenants import Tenant, TenantState
from common.errors import MessageUnreadableError
from common.messages import Reason, Stream, SyncRequest
from worker import leases, ledger, results
from worker.holds import note_decision
from worker.leases import StreamKey, Wishes
from worker.ledger import Part
from worker.lifecycle import RENEWAL_PAUSE

NAMES_TOLD = 5

log = logging.get("commands")


class Commands:
    """Carries out what operators put on the queue."""

    def __init__(self, settings: Settings, database: Database, publisher: Publisher) -> None:
        self._settings = settings
        self._database = database
        self._publisher = publisher
        self._carry_out: Mapping[Verb, Callable[[Command, Sequence[Tenant]], str | None]] = {
            Verb.FULL_RESYNC: self._advance,
            Verb.SYNC_NOW: self._advance,
            Verb.RESYNC_OBJECT: self._read_object,
            Verb.RENEW_SUBSCRIPTIONS: self._renew_subscriptions,
            Verb.CHECK_ACCESS: self._check_access,
            Verb.PAUSE: self._pause,
            Verb.RESUME: self._resume,
            Verb.APPROVE_REMOVALS: self._decide,
            Verb.REJECT_REMOVALS: self._decide,
            Verb.REPLAY_DEAD_LETTERS: self._replay_dead_letters,
        }

    def take(self, delivery: Delivery) -> None:
        """Do what a message on the queue asks for, unless it is done already; either way there will be a result.

        Raises:
            MessageUnreadableError: it can never be carried out; the result says so.
            RetryLaterError: database or broker are away; it is to be taken again.
        """
        digest, came_again = ledger.digest_of(delivery.body), delivery.count > 0
        with self._database.write() as connection:
            now = self._database.now(connection)
            command_id = ledger.identify(connection, delivery.message_id, digest, now, came_again=came_again)
            entry = ledger.find(connection, command_id)
            if entry is not None and entry.is_done:
                if not came_again:
                    _note_repetition(connection, entry, now)
                return
        try:
            self.carry_out(decode_command(delivery.body, command_id), digest)
        except MessageUnreadableError as error:
            if entry is None or not came_again:  # else it was refused before, and this is the same delivery once more
                self._refuse(command_id, digest, error)
            raise

    def carry_out(self, command: Command, digest: str = "") -> None:
        """Write down what `command` asks for and have it begun.

        Raises:
            MessageUnreadableError: no tenant is meant by it, or there is nothing to decide.
            RetryLaterError: database or broker are away; what is written down by then is found again.
        """
        meant = self._meant(command)
        with self._database.write() as connection:
            ledger.enter(self._database, connection, command, digest, self._database.now(connection))
        note = self._carry_out[command.verb](command, meant)
        with self._database.write() as connection:
            ledger.close(connection, command.command_id, self._database.now(connection), note)
        log.info("command", verb=command.verb, tenants=len(meant), command_id=command.command_id)

    def _meant(self, command: Command) -> Sequence[Tenant]:
        with self._database.read() as connection:
            meant = tenants.find(connection, command.tenant)
            names = [tenant.name for tenant in tenants.find(connection, "*")] if not meant else []
        if not meant and command.tenant != "*":
            some = ", ".join(names[:NAMES_TOLD]) + (", …" if names[NAMES_TOLD:] else "")
            unknown = "No tenant has this id, domain or name; `entra-sms tenants list` shows them."
            raise CommandRefusedError(f"{unknown} There are: {some}." if names else unknown, example(command.verb))
        return meant

    def _refuse(self, command_id: str, digest: str, error: MessageUnreadableError) -> None:
        right = error.right if isinstance(error, CommandRefusedError) else None
        with self._database.write() as connection:
            now = self._database.now(connection)
            ledger.refuse(self._database, connection, command_id, str(error), now, digest=digest, right=right)

    def _advance(self, command: Command, meant: Sequence[Tenant]) -> None:
        """Note what is wished for in the rows of the streams, tenant by tenant: a row is locked for a moment only."""
        keys: list[StreamKey] = []
        for tenant in meant:
            with self._database.write() as connection:
                keys += self._wish(connection, command, tenant, _streams(command))
        self._begin(keys)

    def _wish(
        self, connection: Connection, command: Command, tenant: Tenant, streams: Sequence[Stream]
    ) -> Sequence[StreamKey]:
        """Note the wish of a command for streams of a tenant; return those that are still to be advanced."""
        now, asked = self._database.now(connection), (command.command_id,)
        reads_everything = command.verb in (Verb.FULL_RESYNC, Verb.REJECT_REMOVALS)
        wishes = (
            Wishes(full_reason=Reason.OPERATOR, full_requested_at=now, full_request_ids=asked)
            if reads_everything
            else Wishes(request_ids=asked)
        )
        keys = []
        for stream in streams:
            key = StreamKey(tenant.tenant_id, stream)
            if ledger.expect(self._database, connection, command.command_id, tenant.tenant_id, Part(stream)):
                if tenant.state is TenantState.PAUSED:  # it is not to begin all by itself when the pause ends
                    ledger.answer(connection, asked, tenant.tenant_id, stream, now, error=ledger.PAUSED)
                    continue
                leases.note_wishes(connection, key, wishes, now)
                keys.append(key)
        return keys

    def _decide(self, command: Command, meant: Sequence[Tenant]) -> None:
        """Write down the decision, for whoever advances the stream.

        An approval is answered by the very transaction that carries it out (`worker.holds`). After a rejection both
        streams are read in full, since people come back with their groups.
        """
        of = {tenant.tenant_id: tenant for tenant in meant}
        with self._database.write() as connection:
            held = note_decision(connection, list(of), command, self._database.now(connection))
            if command.verb is Verb.REJECT_REMOVALS:
                self._wish(connection, command, of[held.tenant_id], list(Stream))
            else:
                ledger.expect(self._database, connection, command.command_id, held.tenant_id, Part(held.stream))
                leases.note_wishes(connection, held, Wishes(), self._database.now(connection))
        streams = list(Stream) if command.verb is Verb.REJECT_REMOVALS else [held.stream]
        self._begin([StreamKey(held.tenant_id, stream) for stream in streams])

    def _read_object(self, command: Command, meant: Sequence[Tenant]) -> None:
        """Have one person or group read itself (`worker.rechecks`), which answers."""
        keys: list[StreamKey] = []
        for tenant in meant:
            with self._database.write() as connection:
                now = self._database.now(connection)
                for stream in _streams_of_object(connection, tenant, command):
                    key = StreamKey(tenant.tenant_id, stream)
                    if ledger.expect(self._database, connection, command.command_id, tenant.tenant_id, Part(stream)):
                        leases.note_wishes(connection, key, Wishes(), now)  # first: whoever notes objects has the row
                        whats = ("object",) if stream is Stream.USERS else ("object", "members")
                        same = {"tenant_id": tenant.tenant_id, "stream": stream, "object_id": command.object_id}
                        rows = [{**same, "what": what, "due_at": now} for what in whats]
                        noted = self._database.insert(rechecks).values(rows)
                        which = ["tenant_id", "stream", "object_id", "what"]
                        connection.execute(noted.on_conflict_do_update(index_elements=which, set_={"due_at": now}))
                        keys.append(key)
        self._begin(keys)

    def _renew_subscriptions(self, command: Command, meant: Sequence[Tenant]) -> None:
        for tenant in meant:
            with self._database.write() as connection:
                now = self._database.now(connection)
                rested = (
                    subscriptions.c.tenant_id == tenant.tenant_id,
                    subscriptions.c.renewed_at < now - RENEWAL_PAUSE,
                )
                connection.execute(update(subscriptions).where(*rested).values(renew_at=now))
                self._have_reconciled(connection, command, tenant, Part.SUBSCRIPTIONS)

    def _check_access(self, command: Command, meant: Sequence[Tenant]) -> None:
        for tenant in meant:
            with self._database.write() as connection:
                self._have_reconciled(connection, command, tenant, Part.ACCESS)

    def _have_reconciled(self, connection: Connection, command: Command, tenant: Tenant, part: Part) -> None:
        if ledger.expect(self._database, connection, command.command_id, tenant.tenant_id, part):
            mine = tenants_table.c.tenant_id == tenant.tenant_id
            now = self._database.now(connection)
            connection.execute(update(tenants_table).where(mine).values(reconcile_at=now))

    def _pause(self, command: Command, meant: Sequence[Tenant]) -> None:
        for tenant in meant:
            with self._database.write() as connection:
                now = self._database.now(connection)
                if ledger.expect(self._database, connection, command.command_id, tenant.tenant_id, Part.STATE):
                    fresh = tenants.pause(connection, tenant.tenant_id, command.reason or tenants.BY_AN_OPERATOR, now)
                    said = "Paused: nothing of it is read until it is resumed." if fresh else "It was paused already."
                    ledger.answer(connection, [command.command_id], tenant.tenant_id, Part.STATE, now, note=said)

    def _resume(self, command: Command, meant: Sequence[Tenant]) -> None:
        keys: list[StreamKey] = []
        for tenant in meant:
            with self._database.write() as connection:
                now = self._database.now(connection)
                if ledger.expect(self._database, connection, command.command_id, tenant.tenant_id, Part.STATE):
                    fresh = tenants.resume(connection, tenant.tenant_id, now)
                    said = "Resumed: what changed meanwhile is read now." if fresh else "It was not paused."
                    ledger.answer(connection, [command.command_id], tenant.tenant_id, Part.STATE, now, note=said)
                    keys += [StreamKey(tenant.tenant_id, stream) for stream in Stream if fresh]
        self._begin(keys)

    def _replay_dead_letters(self, command: Command, meant: Sequence[Tenant]) -> str:
        def concerned(letter: DeadLetter) -> bool:
            message = letter.message
            if isinstance(message, Command) and message.verb is Verb.REPLAY_DEAD_LETTERS:
                return False
            if command.tenant == "*":
                return True
            if isinstance(message, Command):
                return any(tenant.is_called(message.tenant) for tenant in meant)
            return message is not None and message.tenant_id in {tenant.tenant_id for tenant in meant}

        replayed, left = dead_letters.replay_all(self._settings, "worker", concerned)
        if not replayed and not left:
            return "There are no dead letters."
        kept = f" {left} left: `entra-sms dead-letters list` says why." if left else ""
        return f"{replayed} replayed.{kept}"

    def _begin(self, keys: Sequence[StreamKey]) -> None:
        with self._database.read() as connection:
            now = self._database.now(connection)
        requests = [outgoing.request(SyncRequest(key.tenant_id, key.stream, Reason.OPERATOR, now)) for key in keys]
        if requests:
            self._publisher.publish_all(requests, timeout_seconds=10.0)


def _note_repetition(connection: Connection, entry: ledger.Entry, now: datetime) -> None:
    """Say that a message has an id that was used before: whoever typed it may have meant another command."""
    at = entry.received_at.strftime("%Y-%m-%d %H:%M:%S UTC")
    results.note(
        connection,
        kind="command",
        outcome="repeated",
        summary=f"Not done again: a command with this message id was carried out at {at}. Another one needs another "
        "message id, or none.",
        now=now,
        command_id=entry.command_id,
        message_id=entry.command_id,
    )


def _streams(command: Command) -> Sequence[Stream]:
    return list(Stream) if command.stream is None else [command.stream]


def _streams_of_object(connection: Connection, tenant: Tenant, command: Command) -> Sequence[Stream]:
    """Return where an object is to be looked for: where the book has it, else as a person and as a group."""
    if command.stream is not None:
        return [command.stream]
    for stream, table in ((Stream.USERS, contacts), (Stream.GROUPS, groups)):
        mine = (table.c.tenant_id == tenant.tenant_id, table.c.object_id == command.object_id)
        if connection.execute(select(table.c.object_id).where(*mine)).first() is not None:
            return [stream]
    return list(Stream)
