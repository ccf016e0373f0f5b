"""The worker as a model: simulated directory, real turns, one clock, and a queue that may lose, double and reorder.

Everything runs in one thread. At each boundary between two instructions that matter (a request, its answer, a
transaction, its commit, a publication) a trap may spring: the process dies, the database fails, another worker takes
over, the directory changes.
"""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from sqlalchemy import Connection, delete, event, select, update

from common.broker.outgoing import Outgoing
from common.broker.publisher import Publisher
from common.commands import Command, Verb
from common.config import Settings
from common.db.engine import Database
from common.db.tables import (
    changes,
    contacts,
    held_removals,
    holds,
    memberships,
    metadata,
    rechecks,
    streams,
    tenants,
)
from common.db.tenants import change_scope
from common.errors import (
    BrokerUnavailableError,
    DatabaseUnavailableError,
    EntraSmsError,
    MessageUnreadableError,
    RetryLaterError,
)
from common.messages import Mode, Reason, Stream, SyncRequest, decode_request, encode
from common.scope import Scope, read_condition
from deploy.local.comparison import book_of_database, book_of_directory, differences
from simulator.access_tokens import AccessTokens
from simulator.agenda import Agenda
from simulator.app import create_app
from simulator.application import Application
from simulator.certificates import ensure_authority
from simulator.change_log import Change
from simulator.clock import Clock
from simulator.population import DirectoryObject, Population
from simulator.tenant import Tenant
from simulator.world import Plan, World
from tests.support.bench import settings as settings_of
from tests.support.book import add_tenant, guid
from tests.support.deliveries import CountedDelivery
from tests.support.graph_in_process import AUDIENCE, ClientsInProcess
from tests.support.limits import Limits
from tests.support.replay import held, replayed
from worker.advance import Advancer
from worker.book import SCOPED_OUT
from worker.clients import Clients
from worker.commands import Commands
from worker.dispatch import Dispatch
from worker.inbox import Inbox, Waiting
from worker.leases import StreamKey
from worker.lifecycle import Lifecycle
from worker.results import Results
from worker.schedule import Schedule
from worker.subscriptions import Reconciler

NOON = 1_790_000_000.0
LEASE_SECONDS = 60.0
TENANT = guid("the model's tenant")
SMALL_PAGES = {"users_page_size": 3, "groups_page_size": 2, "members_per_page": 4, "members_per_group": 2}
QUIET_ROUNDS = 60
"""Half a minute each: the poll, all follow-ups and all objects to be read come several times."""


class Crash(BaseException):
    """The process is killed here: no handler of the program may see it."""


class ModelTime:
    """One clock for directory, database and workers; each look at it takes a millisecond."""

    def __init__(self) -> None:
        self.seconds = NOON

    def look(self) -> float:
        self.seconds += 0.001
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.look(), UTC)


class Trap:
    """Counts the boundaries that a turn passes, and does at the n-th what was set."""

    def __init__(self) -> None:
        self._left: int | None = None
        self._action: Callable[[], None] | None = None

    def set(self, boundary: int, action: Callable[[], None] | None) -> None:
        self._left, self._action = boundary, action

    def disarm(self) -> None:
        self._action = None

    def passing(self, *, in_transaction: bool = False) -> None:
        if self._action is None or self._left is None:
            return
        self._left -= 1
        # Between a transaction's beginning and its end only the process itself can fail.
        if self._left < 0 and (not in_transaction or getattr(self._action, "fails", False)):
            action, self._action = self._action, None
            action()


class TrappedDatabase(Database):
    """A database on the model's clock, with traps around and inside its transactions."""

    clock: ModelTime
    trap: Trap
    writing = False

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.trap.passing()
        with super().write() as connection:
            self.writing = True
            try:
                yield connection
                self.trap.passing(in_transaction=True)
            finally:
                self.writing = False
        self.trap.passing()

    def now(self, connection: Connection) -> datetime:
        del connection
        return self.clock.now()


@dataclass
class ModelQueue:
    """Stands in for the publisher and the broker: requests wait here until a rule delivers them."""

    trap: Trap
    waiting: list[SyncRequest] = field(default_factory=list)
    away: bool = False
    dead: list[Outgoing] = field(default_factory=list)

    def publish(self, message: Outgoing, *, timeout_seconds: float = 1.5) -> None:
        self.publish_all([message], timeout_seconds=timeout_seconds)

    def publish_all(self, messages: Sequence[Outgoing], *, timeout_seconds: float = 1.5) -> None:
        self.trap.passing()
        if self.away:
            raise BrokerUnavailableError(f"Away, whatever the {timeout_seconds} s.")
        for message in messages:
            if message.type == "sync_request" and "x-error" not in message.headers:
                self.waiting.append(decode_request(message.body))
            else:
                self.dead.append(message)
        self.trap.passing()


class HandedInbox:
    """Gives the deliveries of one turn, once; what is put back stays unsettled and returns to the queue."""

    def __init__(self, key: StreamKey, waiting: Sequence[Waiting]) -> None:
        self._given: list[tuple[StreamKey, Sequence[Waiting]]] = [(key, waiting)]

    def take(self) -> tuple[StreamKey, Sequence[Waiting]] | None:
        return self._given.pop() if self._given else None

    def put(self, waiting: Waiting, *, delay_seconds: float = 0.0) -> None:
        """Left to the broker."""

    def done(self, key: StreamKey) -> None:
        """The turn is over."""


class Watched:
    """An advancer whose unexpected exceptions are kept, since the dispatch turns them into dead letters."""

    def __init__(self, advancer: Advancer) -> None:
        self._advancer = advancer
        self.defect: Exception | None = None

    def advance(self, key: StreamKey, requests: Sequence[SyncRequest]) -> None:
        try:
            self._advancer.advance(key, requests)
        except EntraSmsError:
            raise
        except Exception as error:
            self.defect = error
            raise

    def give_up(self, key: StreamKey, error: EntraSmsError) -> None:
        self._advancer.give_up(key, error)


@dataclass
class ModelWorker:
    """A worker process; after a crash it comes back under another name, as a new process does."""

    name: str
    runs: int = 0

    @property
    def holder(self) -> str:
        return f"{self.name}#{self.runs}"


class Stage:
    """What all histories share: the application, a migrated database, the clock. Emptied for each history."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.url = database_url
        self.clock = ModelTime()
        self.trap = Trap()
        self.settings: Settings = settings_of(lease_seconds=LEASE_SECONDS, slice_seconds=300)
        engine = Database.from_url(database_url).engine
        self.database = TrappedDatabase(engine)
        self.database.clock, self.database.trap = self.clock, self.trap
        trust_file = ensure_authority(folder).certificate_file
        self.tokens = AccessTokens()
        self.world = World(Plan(tenants=0), Clock(), trust_file, self.tokens)
        self.app = create_app(self.world)
        if self.database.is_sqlite:
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))

    def model(self) -> "Model":
        self.clock.seconds = NOON
        self.trap.disarm()
        with self.database.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        return Model(self)

    def close(self) -> None:
        self.world.stop()
        self.database.close()


@contextmanager
def stage(database_url: str, folder: Path) -> Iterator[Stage]:
    found = Stage(database_url, folder)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("advance", "schedule"):
            patch.setattr(f"worker.{module}.utc_now", found.clock.now)
        patch.setattr("worker.rounds.GIVE_WAY_SECONDS", 0.0)
        logging_before = structlog.get_config()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        try:
            yield found
        finally:
            structlog.configure(**logging_before)
            found.close()


class Model:
    """One history: a tenant, its directory, two workers, and the queue between."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.database = stage.database
        self.clock = stage.clock
        self.tenant = _tenant(stage)
        stage.world.tenants = {self.tenant.id: self.tenant}
        self.directory = self.tenant.directory
        self.directory.listeners.append(self._note)
        self.queue = ModelQueue(stage.trap)
        self.workers = [ModelWorker("one"), ModelWorker("two")]
        with self.database.write() as connection:
            now = self.clock.now()
            add_tenant(connection, "Model", "model.example", tenant_id=TENANT, now=now)
        token = stage.tokens.issue(TENANT, self.tenant.application, AUDIENCE, NOON, 1e9)
        self._clients = ClientsInProcess(stage.settings, stage.app, token, self._passing)
        self._stop_after: int | None = None
        self._somebody_waits = False
        publisher = cast("Publisher", self.queue)
        self._schedule = Schedule(
            stage.settings, self.database, publisher, cast("Reconciler", None), Results(self.database, publisher)
        )
        self.known = set(self.directory.truth.users)
        """Everybody whom the directory ever had."""
        self.steady = {one for one in self.known if self.directory.truth.live(one)}
        """People who have been in the directory ever since they came."""
        self.unannounced: set[tuple[str, str]] = set()
        """Memberships of restored members of which Graph may say nothing: the known limit of the architecture."""
        self._unstable: set[str] = set()
        self._restored: set[str] = set()
        self._looked_until = 0
        self.limits = Limits()
        self.guarded = False
        self.approved: set[str] = set()
        """Whose removal was shown to the operator and approved of."""
        self._decisions = 0
        self._commands = 0
        self._was_hidden = False
        self.tick()

    # The directory

    @property
    def truth(self) -> Population:
        return self.directory.truth

    def users(self, status: str = "live") -> list[str]:
        return sorted(one for one in self.truth.users if self.truth.objects[one].status == status)

    def groups(self, status: str = "live") -> list[str]:
        return sorted(one for one in self.truth.groups if self.truth.objects[one].status == status)

    def _note(self, change: Change) -> None:
        """What a change means for the promises, and the notification of it."""
        one = change.object_id
        if change.object_type == "user":
            self.known.add(one)
            if change.kind == "user.created":
                self.steady.add(one)
            elif change.version is not None and change.version.status != "live":
                self.steady.discard(one)
        if change.kind in ("group.removed", "group.purged"):
            self._unstable.add(one)
        if change.kind in ("user.restored", "group.restored"):
            self._restored.add(one)
            self._note_unannounced(one)
        stream = Stream.USERS if change.object_type == "user" else Stream.GROUPS
        request = SyncRequest(TENANT, stream, Reason.NOTIFICATION, self.clock.now(), object_ids=(one,))
        self.queue.waiting.append(request)

    def _note_unannounced(self, member_id: str) -> None:
        with self.database.read() as connection:
            query = select(memberships.c.group_id).where(memberships.c.member_id == member_id)
            in_book = set(connection.scalars(query))
            news = connection.execute(select(changes.c.sequence).where(changes.c.object_id == member_id)).first()
        if news is None:  # in the recycle bin ever since the book was begun: what it has may be swept as a stranger's
            in_book = set()
        mine = self.truth.member_of.get(member_id, set())
        self.unannounced |= {(group_id, member_id) for group_id in mine - in_book}

    # The workers

    def tick(self) -> None:
        """The timers of the workers: what is due is asked for."""
        self._schedule._publish_polls(self._schedule._claim_polls())

    def turn(
        self,
        worker: ModelWorker,
        requests: Sequence[SyncRequest],
        *,
        stop_after: int | None = None,
        somebody_waits: bool = False,
    ) -> None:
        """Deliver `requests`, all of one stream, and do what the worker does with them."""
        stop_before, waits_before = self._stop_after, self._somebody_waits
        self._stop_after, self._somebody_waits = stop_after, somebody_waits
        deliveries = [CountedDelivery(encode(request)) for request in requests]
        waiting = [Waiting(request, one) for request, one in zip(requests, deliveries, strict=True)]
        key = StreamKey(TENANT, requests[0].stream)
        watched = Watched(self._advancer(worker))
        dispatch = Dispatch(
            cast("Inbox", HandedInbox(key, waiting)),
            cast("Advancer", watched),
            cast("Publisher", self.queue),
            cast("Commands", None),
            cast("Lifecycle", None),
        )
        try:
            dispatch.work()
        except Crash:
            worker.runs += 1
        finally:
            self._stop_after, self._somebody_waits = stop_before, waits_before
        self.queue.waiting += [one.request for one, sent in zip(waiting, deliveries, strict=True) if not sent.settled]
        if watched.defect is not None:
            raise AssertionError("the turn ended in a defect") from watched.defect
        assert not self.queue.dead, [json.loads(one.body) for one in self.queue.dead]
        assert all(one.settled <= 1 for one in deliveries)

    def take(self, stream: Stream, picks: Sequence[int], *, keep: bool = False) -> list[SyncRequest]:
        """Take requests of a stream from the queue, in any order; `keep` leaves them there, to come twice."""
        taken: list[SyncRequest] = []
        for pick in picks:
            mine = [one for one in self.queue.waiting if one.stream is stream]
            if mine:
                one = mine[pick % len(mine)]
                taken.append(one)
                if not keep:
                    self.queue.waiting.remove(one)
        return taken or [self.request(stream, Reason.POLL)]

    def request(self, stream: Stream, reason: Reason, **more: Any) -> SyncRequest:
        return SyncRequest(TENANT, stream, reason, self.clock.now(), **more)

    def _advancer(self, worker: ModelWorker) -> Advancer:
        return Advancer(
            self.stage.settings,
            self.database,
            cast("Publisher", self.queue),
            cast("Clients", self._clients),
            worker.holder,
            has_waiting=lambda _: self._somebody_waits,
            stopping=self._stopping,
        )

    def _stopping(self) -> bool:
        if self._stop_after is None:
            return False
        self._stop_after -= 1
        return self._stop_after < 0

    def _passing(self, _what: str) -> None:
        assert not self.database.writing, "a transaction is open while the network is waited for"
        self.stage.trap.passing()

    # The operator

    def guard(self) -> None:
        """From now on every removal waits for a decision."""
        self.guarded = True
        with self.database.write() as connection:
            connection.execute(update(tenants).values(removal_limit_count=0, removal_limit_percent=0))

    def hide(self, share: float) -> None:
        """Let full rounds miss a part of the directory."""
        self._was_hidden = True
        self.tenant.faults.turn({"hidden_share": share})

    def limit(self, group_ids: Sequence[str], condition: str | None) -> None:
        """Change the tenant's scope, as a person does who was shown what comes of it."""
        self.limits = Limits(tuple(group_ids), condition, ever=True)
        scope = Scope(self.limits.group_ids, None if condition is None else read_condition(condition))
        with self.database.write() as connection:
            change_scope(connection, TENANT, scope, self.clock.now())

    def open_holds(self) -> list[int]:
        with self.database.read() as connection:
            return list(connection.scalars(select(holds.c.hold_id).where(holds.c.ended_at.is_(None))))

    def decide(self, hold_id: int, *, approve: bool, share: float = 1.0) -> None:
        """Look at a hold and decide; who is still in the directory is never approved of."""
        gone = self._gone_for_good(hold_id)
        shown = dict(list(gone.items())[: max(1, round(share * len(gone)))])
        if approve and not shown:
            return
        if approve:
            self.approved |= set(shown.values())
        verb = Verb.APPROVE_REMOVALS if approve else Verb.REJECT_REMOVALS
        self._decisions += 1
        up_to = max(shown) if approve else None
        command = Command(verb, TENANT, None, f"decision {self._decisions}", hold_id, up_to)
        with suppress(RetryLaterError, MessageUnreadableError):  # the broker is away; somebody has just decided
            Commands(self.stage.settings, self.database, cast("Publisher", self.queue)).carry_out(command)

    def command_a_full_round(self, stream: Stream) -> None:
        self._commands += 1
        command = Command(Verb.FULL_RESYNC, TENANT, stream, f"full round {self._commands}")
        with suppress(RetryLaterError):  # the broker is away
            Commands(self.stage.settings, self.database, cast("Publisher", self.queue)).carry_out(command)

    def _gone_for_good(self, hold_id: int) -> dict[int, str]:
        """The numbers and ids of those who are not in the directory, up to the first who is."""
        return {
            row.number: row.object_id
            for row in takewhile(lambda row: not self.truth.live(row.object_id), self._held(hold_id))
        }

    def _held(self, hold_id: int) -> Sequence[Any]:
        with self.database.read() as connection:
            stream = connection.execute(select(holds.c.stream).where(holds.c.hold_id == hold_id)).scalar_one()
            query = select(held_removals.c.object_id, held_removals.c.number).where(held_removals.c.stream == stream)
            return connection.execute(query.order_by(held_removals.c.number)).all()

    def _approve_everything(self) -> bool:
        """Approve what is held, of which nobody may be in the directory; False when nothing is held."""
        found = self.open_holds()
        for hold_id in found:
            back = [row.object_id for row in self._held(hold_id) if self.truth.live(row.object_id)]
            assert not back, f"still held, and in the directory: {back}"
            self.decide(hold_id, approve=True)
        return bool(found)

    # What a trap may do

    def crash(self) -> None:
        raise Crash

    crash.fails = True  # type: ignore[attr-defined]

    def lose_database(self) -> None:
        raise DatabaseUnavailableError("The database failed: restart.")

    lose_database.fails = True  # type: ignore[attr-defined]

    def lose_broker(self) -> None:
        self.queue.away = True

    def interrupt(self, other: ModelWorker, stream: Stream) -> None:
        """Let another worker have a turn in the middle of one."""
        self.turn(other, [self.request(stream, Reason.POLL)])

    def take_over(self, other: ModelWorker, stream: Stream) -> None:
        """Let another worker take over a lease that has run out, while its holder still works."""
        self.clock.seconds += LEASE_SECONDS + 1
        self.interrupt(other, stream)

    # The promises

    def check(self) -> None:
        """What must hold at every moment."""
        with self.database.read() as connection:
            query = select(changes.c.sequence, changes.c.kind, changes.c.object_id, changes.c.reason)
            query = query.where(changes.c.sequence > self._looked_until).order_by(changes.c.sequence)
            news = connection.execute(query).all()
            strangers = set(connection.scalars(select(contacts.c.object_id))) - self.known
        assert not strangers, f"contacts that the directory never had: {strangers}"
        added = {object_id: sequence for sequence, kind, object_id, _ in news if kind == "contact.added"}
        for sequence, kind, object_id, reason in news:
            self._looked_until = sequence
            unasked = self.guarded and kind == "contact.removed" and reason != Reason.APPROVED
            assert not unasked or added.get(object_id, 0) > sequence, f"{object_id} was removed unasked"
            assert reason != Reason.APPROVED or object_id in self.approved, f"{object_id} was never approved of"
            removed = kind == "contact.removed" and object_id in self.steady
            if reason in SCOPED_OUT:
                assert self.limits.ever, f"{object_id} left a scope that was never limited"
                continue
            assert not removed, f"{object_id} was removed from the book and has always been in the directory"

    def settle(self) -> None:
        """End all faults, and let the system come to rest by its own timers; the operator decides what is held."""
        self.stage.trap.disarm()
        self.queue.away = False
        self.tenant.faults.reset()
        if self._was_hidden:  # who was hidden while the book was read for the first time comes with the next full round
            self.queue.waiting += [self.request(one, Reason.OPERATOR, mode=Mode.FULL) for one in Stream]
        self._come_to_rest()
        if self._approve_everything():
            self._come_to_rest()
        assert not self.open_holds(), f"held again after all was approved: {self._rows()}"

    def _come_to_rest(self) -> None:
        self.clock.seconds += 600
        for _ in range(QUIET_ROUNDS):
            self.tick()
            self._deliver_all()
            self.check()
            if self._is_quiet():
                break
            self.clock.seconds += 30
        else:
            raise AssertionError(f"it does not come to rest: {self.queue.waiting} {self._rows()}")

    def compare(self) -> None:
        """The book equals the directory, and the feed tells the book."""
        if self.limits.group_ids and self._known_limit():  # whom a group reaches may hang on those memberships
            self.queue.waiting.append(self.request(Stream.GROUPS, Reason.OPERATOR, mode=Mode.FULL))
            self.settle()
        found = self.differences()
        limit = {f"membership of {member} in {group} is missing" for group, member in self._known_limit()}
        if found and set(found) <= limit:
            self.queue.waiting.append(self.request(Stream.GROUPS, Reason.OPERATOR, mode=Mode.FULL))
            self.settle()
            found = self.differences()
        assert not found, found
        assert replayed(self.database, TENANT) == held(self.database, TENANT)
        self._check_feed()

    def differences(self) -> list[str]:
        directory = self.stage.app.test_client().get(f"/control/tenants/{TENANT}/directory").get_json()
        expected = self.limits.narrowed(book_of_directory(directory), directory["users"])
        return differences(expected, book_of_database(self.stage.url, TENANT))

    def _known_limit(self) -> set[tuple[str, str]]:
        unstable = {(group, one) for one in self._restored for group in self._unstable}
        return self.unannounced | unstable

    def _check_feed(self) -> None:
        """Nothing personal is in the feed: ids, kinds, reasons, names of columns."""
        columns = {column.name for table in metadata.sorted_tables for column in table.columns}
        with self.database.read() as connection:
            for row in connection.execute(select(changes)):
                assert set(row.fields or ()) <= columns
                assert row.reason in set(Reason)

    def _deliver_all(self) -> None:
        for _ in range(200):
            if not self.queue.waiting:
                return
            stream = self.queue.waiting[0].stream
            mine = [one for one in self.queue.waiting if one.stream is stream]
            self.queue.waiting = [one for one in self.queue.waiting if one.stream is not stream]
            self.turn(self.workers[0], mine)
            if any(one.attempt or one.reason is Reason.CONTINUED for one in self.queue.waiting):
                self.clock.seconds += 5
        raise AssertionError(f"the queue does not end: {self.queue.waiting}")

    def _rows(self) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            return [dict(row) for row in connection.execute(select(streams)).mappings()]

    def _is_quiet(self) -> bool:
        with self.database.read() as connection:
            to_read = connection.execute(select(rechecks)).first()
        rows = self._rows()
        busy = any(row["full_began_at"] or row["full_wanted_at"] or row["next_link"] for row in rows)
        polled = all(row["last_began_at"] is not None and row["failures"] == 0 for row in rows)
        return polled and not busy and to_read is None and not self.queue.waiting


def _tenant(stage: Stage) -> Tenant:
    """A company with a cycle of groups, devices, an empty group, and a group in the recycle bin."""
    population = Population()
    people = [guid(f"model user {number}") for number in range(4)]
    for number, one in enumerate(people):
        mobile = {"mobilePhone": f"+4850100000{number}"} if number else {}
        values = {"displayName": f"Person {number}", "accountEnabled": True, "userType": "Member", **mobile}
        name = {"userPrincipalName": f"person{number}@model.example"}
        population.put(DirectoryObject(one, "user", values | name))
    devices = [guid(f"model device {number}") for number in range(2)]
    for one in devices:
        population.put(DirectoryObject(one, "device", {"displayName": "Device"}))
    staff, board, empty, former = (guid(f"model group {name}") for name in ("staff", "board", "empty", "former"))
    kind = {"mailEnabled": False, "securityEnabled": True, "groupTypes": []}
    for one, title in ((staff, "Staff"), (board, "Board"), (empty, "Empty")):
        population.put(DirectoryObject(one, "group", {"displayName": title, **kind}))
    population.put(DirectoryObject(former, "group", {"displayName": "Former", **kind}, "deleted"))
    for group, member in (
        *((staff, one) for one in (*people[:3], devices[0], board)),
        *((board, one) for one in (people[3], staff)),
        *((former, one) for one in people[:2]),
    ):
        population.link(group, member)
    clock = Clock(wall=lambda: stage.clock.seconds, monotonic=lambda: stage.clock.seconds)
    application = Application(guid("model client"), "secret", guid("model principal"))
    return Tenant(
        TENANT,
        "model.example",
        application,
        population,
        clock=clock,
        agenda=Agenda(clock),
        seed=1,
        settings=SMALL_PAGES,
    )


def device_ids(model: Model) -> list[str]:
    return sorted(one.id for one in model.truth.objects.values() if one.type == "device")
