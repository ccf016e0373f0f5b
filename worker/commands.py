"""Operators' commands become requests: the same door as for notifications and timers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from common import logging
from common.broker import outgoing
from common.broker.publisher import Publisher
from common.db import tenants
from common.db.engine import Database
from common.db.tenants import Tenant
from common.errors import MessageUnreadableError
from common.messages import DECISIONS, Command, Mode, Reason, Stream, SyncRequest, Verb
from worker.holds import note_decision
from worker.leases import StreamKey

log = logging.get("commands")

READS_EVERYTHING = (Verb.FULL_RESYNC, Verb.REJECT_REMOVALS)


class Commands:
    """Carries out what operators put on the queue."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher

    def carry_out(self, command: Command) -> None:
        """Publish a request for each stream that `command` means; write down a decision first.

        Raises:
            MessageUnreadableError: no tenant is meant by it, or there is nothing to decide.
            RetryLaterError: database or broker are away; nothing or a part of it was published.
        """
        meant = self._meant(command)
        keys = self._decide(command, meant) if command.verb in DECISIONS else _keys(command, meant)
        with self._database.read() as connection:
            now = self._database.now(connection)
        requests = [outgoing.request(_request(command, key, now)) for key in keys]
        self._publisher.publish_all(requests, timeout_seconds=10.0)
        log.info("command", verb=command.verb, tenants=len({key.tenant_id for key in keys}), streams=len(keys))

    def _meant(self, command: Command) -> Sequence[Tenant]:
        with self._database.read() as connection:
            meant = tenants.find(connection, command.tenant)
        if not meant and command.tenant != "*":
            raise MessageUnreadableError("No tenant has this id, domain or name; `entra-sms tenants list` shows them.")
        return meant

    def _decide(self, command: Command, meant: Sequence[Tenant]) -> list[StreamKey]:
        """Write down the decision, for whoever advances the stream; return the streams that are to advance.

        After a rejection these are both of the tenant, since people come back with their groups.
        """
        tenant_ids = [tenant.tenant_id for tenant in meant]
        with self._database.write() as connection:
            held = note_decision(connection, tenant_ids, command, self._database.now(connection))
        streams = list(Stream) if command.verb is Verb.REJECT_REMOVALS else [held.stream]
        return [StreamKey(held.tenant_id, stream) for stream in streams]


def _keys(command: Command, meant: Sequence[Tenant]) -> list[StreamKey]:
    streams = list(Stream) if command.stream is None else [command.stream]
    return [StreamKey(tenant.tenant_id, stream) for tenant in meant for stream in streams]


def _request(command: Command, key: StreamKey, now: datetime) -> SyncRequest:
    # An approval is answered by the very transaction that carries it out (`worker.holds`).
    answers = command.verb is not Verb.APPROVE_REMOVALS
    return SyncRequest(
        key.tenant_id,
        key.stream,
        Reason.OPERATOR,
        now,
        mode=Mode.FULL if command.verb in READS_EVERYTHING else Mode.INCREMENTAL,
        request_ids=(command.request_id,) if command.request_id and answers else (),
    )
