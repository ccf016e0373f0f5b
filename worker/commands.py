"""Operators' commands become requests: the same door as for notifications and timers."""

from __future__ import annotations

from common import logging
from common.broker import outgoing
from common.broker.publisher import Publisher
from common.clock import utc_now
from common.db import tenants
from common.db.engine import Database
from common.errors import MessageUnreadableError
from common.messages import Command, Mode, Reason, Stream, SyncRequest, Verb

log = logging.get("commands")


class Commands:
    """Carries out what operators put on the queue."""

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher

    def carry_out(self, command: Command) -> None:
        """Publish a request for each stream that `command` means.

        Raises:
            MessageUnreadableError: no tenant is meant by it.
            RetryLaterError: database or broker are away; nothing or a part of it was published.
        """
        with self._database.read() as connection:
            meant = tenants.find(connection, command.tenant)
        if not meant and command.tenant != "*":
            raise MessageUnreadableError("No tenant has this id, domain or name; `entra-sms tenants list` shows them.")
        streams = [command.stream] if command.stream else list(Stream)
        mode = Mode.FULL if command.verb is Verb.FULL_RESYNC else Mode.INCREMENTAL
        requests = [
            SyncRequest(
                tenant.tenant_id,
                stream,
                Reason.OPERATOR,
                utc_now(),
                mode=mode,
                request_ids=(command.request_id,) if command.request_id else (),
            )
            for tenant in meant
            for stream in streams
        ]
        self._publisher.publish_all([outgoing.request(request) for request in requests], timeout_seconds=10.0)
        log.info("command", verb=command.verb, tenants=len(meant), streams=streams)
