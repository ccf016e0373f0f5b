"""Operators' commands become requests: the same door as for notifications and timers."""

from __future__ import annotations

from collections.abc import Sequence

from common import logging
from common.broker import outgoing
from common.broker.publisher import Publisher
from common.clock import utc_now
from common.db import tenants
from common.db.engine import Database
from common.db.tenants import Tenant
from common.errors import MessageUnreadableError
from common.messages import DECISIONS, Command, Mode, Reason, Stream, SyncRequest, Verb
from worker.holds import note_decision

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
        if command.verb in DECISIONS and not self._decide(command, meant):
            return
        requests = [_request(command, tenant, stream) for tenant in meant for stream in _streams(command)]
        self._publisher.publish_all([outgoing.request(request) for request in requests], timeout_seconds=10.0)
        log.info("command", verb=command.verb, tenants=len(meant), streams=_streams(command))

    def _meant(self, command: Command) -> Sequence[Tenant]:
        with self._database.read() as connection:
            meant = tenants.find(connection, command.tenant)
        if not meant and command.tenant != "*":
            raise MessageUnreadableError("No tenant has this id, domain or name; `entra-sms tenants list` shows them.")
        return meant

    def _decide(self, command: Command, meant: Sequence[Tenant]) -> bool:
        """Write down the decision, for whoever advances the stream; False: it was carried out already."""
        if len(meant) != 1 or command.stream is None:
            raise MessageUnreadableError("Several tenants have this name: give the id of the one that is meant.")
        with self._database.write() as connection:
            now = self._database.now(connection)
            return note_decision(connection, meant[0].tenant_id, command.stream, command, now)


def _streams(command: Command) -> list[Stream]:
    """Return the streams that are asked to advance: after a rejection both, for people come back with their groups."""
    if command.stream is None or command.verb is Verb.REJECT_REMOVALS:
        return list(Stream)
    return [command.stream]


def _request(command: Command, tenant: Tenant, stream: Stream) -> SyncRequest:
    # An approval is answered by the very transaction that carries it out (`worker.holds`).
    answers = command.verb is not Verb.APPROVE_REMOVALS
    return SyncRequest(
        tenant.tenant_id,
        stream,
        Reason.OPERATOR,
        utc_now(),
        mode=Mode.FULL if command.verb in READS_EVERYTHING else Mode.INCREMENTAL,
        request_ids=(command.request_id,) if command.request_id and answers else (),
    )
