"""Advance one stream: the worker's one verb.

1. Note what the requests wish for and take the lease; if another worker has it, that one will see to it.
2. Carry out what was decided about held removals.
3. Follow the live cursor. Nearly always that is all there is to do: then it lets go of the lease as well.
4. Read objects of which something ambiguous was said.
5. Go on with the full round, if one is wanted or under way, for a slice.
6. Let go of the lease, unless somebody wanted the stream meanwhile: then again from 2.
7. Ask again later for announced objects that were not shown; put back what is left of the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, update
from sqlalchemy.engine import RowMapping

from common import logging
from common.broker import outgoing
from common.broker.publisher import Publisher
from common.clock import utc_now
from common.config import Settings
from common.db import tenants
from common.db.engine import Database
from common.db.tables import tenants as tenants_table
from common.db.tenants import Tenant, TenantState
from common.errors import (
    AccessError,
    BadPageError,
    EntraSmsError,
    LeaseLostError,
    ResyncNeededError,
    RetryLaterError,
    SettingsError,
)
from common.graph.answers import (
    GraphNotFoundError,
    GraphRefusedError,
    GraphThrottledError,
    TokenNotAcceptedError,
)
from common.graph.resources import tells_another_scope
from common.messages import OBJECT_IDS_LIMIT, Mode, Reason, Stream, SyncRequest
from worker import access, cursors, leases, reach
from worker.clients import Clients
from worker.follow_ups import FollowUps
from worker.holds import carry_out_decision
from worker.leases import Lease, Look, StreamKey, Wishes
from worker.rechecks import read_doubtful_objects
from worker.rounds import full_slice, incremental_round
from worker.turn import Turn

FAILED_ACCESS_REASONS = frozenset({Reason.POLL, Reason.OPERATOR})
"""While a tenant's access has failed only these still ask Graph: the slow poll, and a person."""

HELD_RECHECK = timedelta(hours=1)
"""While removals wait for a decision, a full round looks so often whether the directory shows everybody again."""

GIVEN_UP_POLL = timedelta(minutes=1)
"""A stream whose requests were given up is polled within this time, however seldom the others are: not at once, since
what made them fail will often still be there."""

log = logging.get("advance")


class Advancer:
    """Advances streams; any number of threads may use it."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        publisher: Publisher,
        clients: Clients,
        holder: str,
        *,
        has_waiting: Callable[[StreamKey], bool],
        stopping: Callable[[], bool],
        executor: Executor | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._publisher = publisher
        self._clients = clients
        self._holder = holder
        self._has_waiting = has_waiting
        self._stopping = stopping
        self._executor = executor
        self._calendar = timedelta(days=settings.full_resync_days)
        self._follow_ups = FollowUps(settings.follow_up_seconds)

    def advance(self, key: StreamKey, requests: Sequence[SyncRequest]) -> None:
        """Answer `requests`, all of the stream `key`, by one turn.

        Raises:
            RetryLaterError: passing trouble; the same requests are to be made again later.
            AccessError: the tenant's access does not work; it is noted, there is nothing to repeat.
        """
        with self._database.write() as connection:
            tenant = tenants.get(connection, key.tenant_id)
            if tenant is None:
                log.info("tenant_unknown", tenant=key.tenant_id)
                return
            if not _is_read(tenant, requests):
                return
            self._respect_throttling(connection, tenant)
            seconds = self._settings.lease_seconds
            lease = leases.acquire(self._database, connection, key, self._holder, seconds, wishes_of(requests))
        shown: set[str] = set()
        if lease is not None:
            self._advance_under(lease, tenant, requests, shown)
            self._tell_the_people_stream(key, tenant)
        self._ask_again_later(key, requests, shown)

    def give_up(self, key: StreamKey, error: EntraSmsError) -> None:
        """Leave the stream to the next poll, soon, and answer the commands that wait for it with `error`."""
        with self._database.write() as connection:
            row = leases.locked(connection, key)
            if row is None:
                return
            now = self._database.now(connection)
            leases.set_values(connection, key, {"next_poll_at": min(row["next_poll_at"], now + GIVEN_UP_POLL)})
            cursors.fail_commands(connection, key, row, str(error), now)

    def _advance_under(self, lease: Lease, tenant: Tenant, requests: Sequence[SyncRequest], shown: set[str]) -> None:
        try:
            turn = Turn(
                settings=self._settings,
                database=self._database,
                client=self._clients.of(tenant),
                tenant=tenant,
                lease=lease,
                reason=requests[0].reason,
                began_at=lease.taken.at,
                notified_at=min((r.requested_at for r in requests if r.reason is Reason.NOTIFICATION), default=None),
                ends_at=time.monotonic() + self._settings.slice_seconds,
                somebody_waits=lambda: self._has_waiting(lease.key),
                stopping=self._stopping,
                executor=self._executor,
                shown=shown,
            )
            work_left = self._take_turn(turn)
        except LeaseLostError:
            raise
        except TokenNotAcceptedError as error:
            trouble = self._once_is_chance(lease, error)
            self._note_failure(lease, tenant, trouble)
            raise trouble from error
        except EntraSmsError as error:
            self._note_failure(lease, tenant, error)
            raise
        if work_left:
            leases.abandon(self._database, lease)
            self._continue(lease.key)
        if tenant.state is TenantState.ACCESS_FAILED:
            access.note_recovered(self._database, tenant)

    def _take_turn(self, turn: Turn) -> bool:
        """Steps 2 to 6; return whether work is left."""
        resynced = False
        begun = turn.lease.taken
        while True:
            turn.began_at = begun.at
            try:
                work_left = self._once(turn, begun)
            except ResyncNeededError as error:
                if resynced:
                    raise RetryLaterError(f"{error} The new token was dead at once.") from error
                log.warning("resync_needed", tenant=turn.tenant.tenant_id, stream=turn.lease.key.stream)
                resynced = True
                begun = turn.look()
                continue  # the live cursor is gone and a full round is wanted: begin it now
            if work_left:
                return True
            if turn.has_let_go or leases.release(self._database, turn.lease, turn.began_at):
                return False
            if turn.is_over():
                return True
            begun = turn.look()

    def _once(self, turn: Turn, begun: Look) -> bool:
        begun = self._wanting_full(turn, begun)
        row = begun.row
        if row["hold_id"] is not None:
            carry_out_decision(turn)
        full = row["full_began_at"] is not None or row["full_wanted_at"] is not None
        if row["delta_link"] is not None and not _live_round(turn, begun, beside_full=full):
            return True
        if turn.has_let_go:
            return False
        full = read_doubtful_objects(turn) or full
        if full:
            ended = self._full_round(turn) and incremental_round(turn, turn.look())
            return not ended or _wants_another_full(turn)
        return False

    def _full_round(self, turn: Turn) -> bool:
        """Go on with the full round, serving whoever waits from the live cursor in between; False: time is up."""
        while not full_slice(turn):
            if turn.is_over():
                return False
            begun = turn.look()
            if begun.row["delta_link"] is not None and not _live_round(turn, begun, beside_full=True):
                return False
        return True

    def _wanting_full(self, turn: Turn, begun: Look) -> Look:
        """Return the stream's row, with a full round wanted if there is any reason for one."""
        if self._is_in_order(turn, begun):
            return begun
        key = turn.lease.key
        with self._database.write() as connection:
            row = leases.hold(self._database, connection, turn.lease)
            now = self._database.now(connection)
            if cursors.leave_former_graph(connection, key, row, turn.client.is_own, now):
                log.warning("graph_changed", tenant=key.tenant_id, stream=key.stream)
                row = leases.hold(self._database, connection, turn.lease)
            if row["fingerprint"] != turn.shape:
                if key.stream is Stream.USERS:
                    reach.renew(connection, key.tenant_id, turn.tenant.scope)
                if row["full_began_at"] is not None:
                    cursors.begin_full_anew(connection, key, row, turn.shape, now)
                    row = leases.hold(self._database, connection, turn.lease)
            reason = _reason_for_full(row, turn.shape, now, self._calendar)
            if reason is not None:
                cursors.want_full(connection, key, row, reason, now)
                row = leases.hold(self._database, connection, turn.lease)
            return Look(row, now)

    def _is_in_order(self, turn: Turn, begun: Look) -> bool:
        """Tell from the row alone that the stream goes on as it is: so it does nearly always."""
        row = begun.row
        goes_on = row["fingerprint"] == turn.shape and not cursors.foreign_links(row, turn.client.is_own)
        return goes_on and _reason_for_full(row, turn.shape, begun.at, self._calendar) is None

    def _ask_again_later(self, key: StreamKey, requests: Sequence[SyncRequest], shown: set[str]) -> None:
        """Graph's delta can lag behind its own notification: what was announced but not shown is asked for again."""
        for level, delay_seconds in enumerate(self._follow_ups.steps):
            mine = [request for request in requests if request.follow_up == level]
            announced = {one for request in mine for one in request.object_ids}
            if level and mine:
                announced |= self._follow_ups.take(key, level - 1, utc_now())
            missing = sorted(announced - shown)[:OBJECT_IDS_LIMIT]
            if not missing or self._follow_ups.join(key, level, missing, utc_now()):
                continue
            # It cannot come back before its delay has passed from now on, however late its confirm is.
            now = utc_now()
            request = SyncRequest(
                key.tenant_id, key.stream, Reason.FOLLOW_UP, now, object_ids=tuple(missing), follow_up=level + 1
            )
            self._publisher.publish(outgoing.request(request, delay_seconds=delay_seconds))
            self._follow_ups.published(key, level, now)

    def _tell_the_people_stream(self, key: StreamKey, tenant: Tenant) -> None:
        """Have the people's stream follow what the groups of the scope reach now; without this the poll does."""
        if key.stream is Stream.GROUPS and tenant.scope.group_ids and reach.is_marked(self._database, key.tenant_id):
            self._continue(replace(key, stream=Stream.USERS))

    def _continue(self, key: StreamKey) -> None:
        request = SyncRequest(key.tenant_id, key.stream, Reason.CONTINUED, utc_now())
        self._publisher.publish(outgoing.request(request))

    def _respect_throttling(self, connection: Connection, tenant: Tenant) -> None:
        if tenant.throttled_until is None:
            return
        wait_seconds = (tenant.throttled_until - self._database.now(connection)).total_seconds()
        if wait_seconds > 0:
            raise GraphThrottledError("Graph asked to be left alone.", wait_seconds)

    def _once_is_chance(self, lease: Lease, error: TokenNotAcceptedError) -> EntraSmsError:
        """Return passing trouble, and `error` itself only when the turn before this one ended with it, too."""
        with self._database.write() as connection:
            row = leases.hold(self._database, connection, lease)
        return error if row["last_error"] == str(error) else RetryLaterError(str(error))

    def _note_failure(self, lease: Lease, tenant: Tenant, error: EntraSmsError) -> None:
        """Write down why the turn failed, and let go of the lease."""
        if isinstance(error, GraphThrottledError) and error.delay_seconds:
            self._note_throttling(tenant, error.delay_seconds)
        if isinstance(error, AccessError | SettingsError):
            self.give_up(lease.key, error)
            access.note_failed(self._database, tenant, error)  # last: it is to be polled slowly
        with self._database.write() as connection:
            row = leases.hold(self._database, connection, lease)
            cursors.note_failure(connection, lease.key, row, str(error))
        leases.abandon(self._database, lease)

    def _note_throttling(self, tenant: Tenant, delay_seconds: float) -> None:
        with self._database.write() as connection:
            until = self._database.now(connection) + timedelta(seconds=delay_seconds)
            mine = tenants_table.c.tenant_id == tenant.tenant_id
            connection.execute(update(tenants_table).where(mine).values(throttled_until=until))


def _is_read(tenant: Tenant, requests: Sequence[SyncRequest]) -> bool:
    """Whether Graph is asked for a tenant in this state."""
    if tenant.state is TenantState.ACCESS_FAILED:
        return any(request.reason in FAILED_ACCESS_REASONS for request in requests)
    return tenant.state is not TenantState.PAUSED


def _live_round(turn: Turn, begun: Look, *, beside_full: bool) -> bool:
    """Follow the live cursor; a full round, which brings a new one, does not depend on whether the old one works."""
    try:
        return incremental_round(turn, begun)
    except (GraphNotFoundError, GraphRefusedError, BadPageError) as error:
        if not beside_full:
            raise
        log.warning("live_round_failed", tenant=turn.tenant.tenant_id, stream=turn.lease.key.stream, error=str(error))
        return True


def _wants_another_full(turn: Turn) -> bool:
    """Tell after a full round whether one more was asked for meanwhile."""
    return not turn.has_let_go and turn.state()["full_wanted_at"] is not None


def wishes_of(requests: Sequence[SyncRequest]) -> Wishes:
    """Return what `requests` ask for beyond an incremental round."""
    full = [request for request in requests if request.mode is Mode.FULL]
    return Wishes(
        full_reason=full[0].reason if full else None,
        full_requested_at=max((request.requested_at for request in full), default=None),
    )


def _reason_for_full(row: RowMapping, shape: str, now: datetime, calendar: timedelta) -> Reason | None:
    """Return why the stream needs a full round that nobody has asked for, or None."""
    if row["full_began_at"] is not None or row["full_wanted_at"] is not None:
        return None
    if row["delta_link"] is None:
        return Reason.FIRST_SYNC
    if row["fingerprint"] != shape:
        return Reason.SCOPE_CHANGED if tells_another_scope(row["fingerprint"], shape) else Reason.FINGERPRINT
    if row["hold_id"] is not None and row["last_full_at"] < now - HELD_RECHECK:
        return Reason.HELD
    return Reason.CALENDAR if row["last_full_at"] < now - calendar else None
