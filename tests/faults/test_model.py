"""Random histories of directory, broker, database and workers: whatever breaks, the book ends equal to the directory.

Nobody is removed from the book who is still in the directory, and nobody stays who has left. A history that fails is
printed as the steps that lead there, made as short as possible. `MODEL_HISTORIES=5000` plays more of them,
`MODEL_SEED=7` others, `MODEL_STEPS=60` longer ones.

In the guarded histories every removal waits for an operator's decision; only there the directory may hide a part of
itself, since nobody but a person can tell that from people leaving. Not played: object reads that lag by more than the
15 s after which they are made; the 30 days of the recycle bin.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.graph.client import DeltaPage
from common.messages import Reason, Stream
from simulator.directory import ConflictError, NoSuchObjectError
from tests.support.limits import CONDITIONS
from tests.support.model import Model, Stage, device_ids, stage
from worker import apply_groups, apply_users, holds, leases, reach, rounds
from worker.advance import Advancer
from worker.book import Writer
from worker.schedule import Schedule
from worker.turn import Turn

HISTORIES = int(os.environ.get("MODEL_HISTORIES", "300"))
SEED = int(os.environ.get("MODEL_SEED", "1"))
SHARDS = 4
STEPS = int(os.environ.get("MODEL_STEPS", "25"))
NOTICED_WITHIN = 600
"""So many histories at most find something that was broken on purpose, whatever they are: Hypothesis takes some of what
it draws from the modules that happen to be loaded."""

ANYONE = st.integers(0, 7)
STREAMS = st.sampled_from(list(Stream))
USER_CHANGES = [
    ("displayName", "Somebody Else"),
    ("givenName", "Jo"),
    ("givenName", None),
    ("surname", "Nowak"),
    ("surname", None),
    ("mail", "jo@model.example"),
    ("mail", None),
    ("mobilePhone", "+48501234567"),
    ("mobilePhone", "not a number"),
    ("mobilePhone", ""),
    ("mobilePhone", None),
    ("businessPhones", ["+48221234567"]),
    ("businessPhones", []),
    ("businessPhones", None),
    ("usageLocation", "DE"),
    ("usageLocation", None),
    ("userType", "Guest"),
    ("accountEnabled", False),
    ("accountEnabled", True),
    ("jobTitle", "Pilot"),
    ("aboutMe", "untracked"),
]
GROUP_CHANGES = [
    ("displayName", "Staff"),
    ("displayName", "Renamed"),
    ("mail", "group@model.example"),
    ("mail", None),
    ("mailEnabled", True),
    ("groupTypes", ["Unified"]),
    ("description", "unasked for"),
]
FAULTS: list[dict[str, Any]] = [
    {"replication_lag_seconds": 30.0},
    {"replication_lag_seconds": 120.0, "read_lag_seconds": 5.0},
    {"read_lag_seconds": 10.0},
    {"delta_duplicate_in_page": 0.7},
    {"delta_duplicate_across_pages": 0.7},
    {"delta_empty_pages": 2},
    {"delta_sparse_updates": 0.7},
    {"delta_sparse_updates": 1.0, "read_lag_seconds": 10.0},
    {"delta_replay_rounds": 2},
    {"delta_unknown_properties": 0.5},
    {"delta_next_link_loop": 1},
    {"delta_foreign_next_link": 1},
    {"initial_round_shows_removed": False, "initial_round_shows_removed_members": False},
    {"purge_removes_memberships_in_delta": True},
    {"security_groups_have_recycle_bin": False},
    {"expire_next_tokens": 1, "expired_token_shape": "gone"},
    {"expire_next_tokens": 1, "expired_token_shape": "sync_state_not_found"},
    {"expire_next_tokens": 2, "expired_token_shape": "unsupported_query"},
    {"page_token_lifetime_seconds": 0.0},
    {"throttle_next": 1},
    {"throttle_next": 2, "retry_after": "decimal"},
    {"throttle_next": 1, "retry_after": "absent"},
    {"server_error_next": 1},
    {"server_error_next": 3, "server_error_status": "503"},
    {"truncated_json": 0.2},
    {"html_instead_of_json": 0.2},
    {"transient_unauthorized": 0.1},
]
TRAPS = ("crash", "database", "broker", "take_over", "interrupt", "leave", "change", "part", "expire", "error")


class Histories(RuleBasedStateMachine):
    """What may happen, in any order."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self.model: Model = self.stage.model()
        self.tokens_die = True

    @initialize(synced=st.booleans(), tokens_die=st.booleans())
    def begin(self, *, synced: bool, tokens_die: bool) -> None:
        """Some histories have no full round but the first: another one would mend what went wrong before it."""
        self.tokens_die = tokens_die
        for stream in Stream:
            self._let_see(stream, seen=synced)

    # The directory

    @rule(number=ANYONE, phone=st.sampled_from([None, "+48501999888"]))
    def hire(self, number: int, phone: str | None) -> None:
        values: dict[str, Any] = {"displayName": f"Hire {number}", "accountEnabled": True}
        values["userPrincipalName"] = f"hire{number}@model.example"
        if phone:
            values["mobilePhone"] = phone
        self._try(lambda: self.model.directory.create("user", values))

    @rule(who=ANYONE, what=st.sampled_from(USER_CHANGES))
    def change(self, who: int, what: tuple[str, Any]) -> None:
        self._with(self.model.users(), who, lambda one: self.model.directory.update("user", one, dict([what])))

    @rule(who=ANYONE, seen=st.booleans())
    def leave(self, who: int, *, seen: bool) -> None:
        self._with(self.model.users(), who, lambda one: self.model.directory.remove("user", one))
        self._let_see(Stream.USERS, seen=seen)

    @rule(who=ANYONE, seen=st.booleans())
    def come_back(self, who: int, *, seen: bool) -> None:
        self._with(self.model.users("deleted"), who, lambda one: self.model.directory.restore("user", one))
        self._let_see(Stream.USERS, seen=seen)

    @rule(who=ANYONE)
    def leave_and_come_back(self, who: int) -> None:
        self._with(self.model.users(), who, self._leave_and_come_back)

    @rule(who=ANYONE, status=st.sampled_from(["live", "deleted"]))
    def purge(self, who: int, status: str) -> None:
        self._with(self.model.users(status), who, lambda one: self.model.directory.purge("user", one))

    @rule(who=ANYONE)
    def found_group(self, who: int) -> None:
        values = {"displayName": "New Group", "mailEnabled": False, "securityEnabled": True, "groupTypes": []}
        made = self.model.directory.create("group", values)
        self._with(self.model.users(), who, lambda one: self.model.directory.add_member(made.id, one))

    @rule(which=ANYONE, what=st.sampled_from(GROUP_CHANGES))
    def change_group(self, which: int, what: tuple[str, Any]) -> None:
        self._with(self.model.groups(), which, lambda one: self.model.directory.update("group", one, dict([what])))

    @rule(which=ANYONE, seen=st.booleans())
    def remove_group(self, which: int, *, seen: bool) -> None:
        self._with(self.model.groups(), which, lambda one: self.model.directory.remove("group", one))
        self._let_see(Stream.GROUPS, seen=seen)

    @rule(which=ANYONE, seen=st.booleans())
    def restore_group(self, which: int, *, seen: bool) -> None:
        self._with(self.model.groups("deleted"), which, lambda one: self.model.directory.restore("group", one))
        self._let_see(Stream.GROUPS, seen=seen)

    @rule(which=ANYONE, status=st.sampled_from(["live", "deleted"]))
    def purge_group(self, which: int, status: str) -> None:
        self._with(self.model.groups(status), which, lambda one: self.model.directory.purge("group", one))

    @rule(which=ANYONE, who=st.integers(0, 15))
    def join(self, which: int, who: int) -> None:
        anything = self.model.users() + device_ids(self.model) + self.model.groups()
        self._with(anything, who, lambda member: self._join(which, member))

    @rule(which=ANYONE, who=ANYONE)
    def part(self, which: int, who: int) -> None:
        self._with(self._members(which), who, lambda edge: self.model.directory.remove_member(*edge))

    @rule(which=ANYONE, who=ANYONE)
    def part_and_join(self, which: int, who: int) -> None:
        def both(edge: tuple[str, str]) -> None:
            self.model.directory.remove_member(*edge)
            self.model.directory.add_member(*edge)

        self._with(self._members(which), who, both)

    @rule(which=ANYONE, who=ANYONE)
    def join_and_part(self, which: int, who: int) -> None:
        def both(one: str) -> None:
            groups = self.model.groups()
            self.model.directory.add_member(groups[which % len(groups)], one)
            self.model.directory.remove_member(groups[which % len(groups)], one)

        self._with(self.model.users() if self.model.groups() else [], who, both)

    # What surrounds the workers

    @rule(knobs=st.sampled_from(FAULTS))
    def fault(self, knobs: dict[str, Any]) -> None:
        if not self.tokens_die:
            knobs = {name: value for name, value in knobs.items() if name != "expire_next_tokens"}
        self.model.tenant.faults.turn(knobs)

    @rule()
    def calm(self) -> None:
        self.model.tenant.faults.reset()

    @precondition(lambda self: self.tokens_die)
    @rule(shape=st.sampled_from(["gone", "sync_state_not_found", "unsupported_query"]))
    def expire_tokens(self, shape: str) -> None:
        self.model.tenant.faults.turn({"expired_token_shape": shape})
        self.model.tenant.reset_delta_tokens()

    @rule(seconds=st.sampled_from([1, 5, 12, 16, 40, 70, 400, 4_000]))
    def pass_time(self, seconds: int) -> None:
        self.model.clock.seconds += seconds

    @rule()
    def tick(self) -> None:
        self.model.tick()

    @precondition(lambda self: self.tokens_die)
    @rule(stream=STREAMS)
    def resync(self, stream: Stream) -> None:
        self.model.command_a_full_round(stream)

    @rule(number=st.integers(0, 20), everything=st.booleans())
    def lose(self, number: int, *, everything: bool) -> None:
        if everything:
            self.model.queue.waiting.clear()
        self._with(self.model.queue.waiting.copy(), number, self.model.queue.waiting.remove)

    # The workers

    @rule(who=st.integers(0, 1), stream=STREAMS, picks=st.lists(st.integers(0, 9), min_size=1, max_size=4))
    def work(self, who: int, stream: Stream, picks: list[int]) -> None:
        self.model.turn(self.model.workers[who], self.model.take(stream, picks))

    @rule(
        who=st.integers(0, 1),
        stream=STREAMS,
        pick=st.integers(0, 9),
        stop_after=st.none() | st.integers(0, 3),
        somebody_waits=st.booleans(),
        keep=st.booleans(),
    )
    def work_in_slices(
        self, who: int, stream: Stream, pick: int, stop_after: int | None, *, somebody_waits: bool, keep: bool
    ) -> None:
        requests = self.model.take(stream, [pick], keep=keep)
        self.model.turn(self.model.workers[who], requests, stop_after=stop_after, somebody_waits=somebody_waits)

    @rule(
        who=st.integers(0, 1),
        stream=STREAMS,
        pick=st.integers(0, 9),
        boundary=st.integers(0, 30),
        trap=st.sampled_from(TRAPS),
        whom=ANYONE,
    )
    def work_and_meet(self, who: int, stream: Stream, pick: int, boundary: int, trap: str, whom: int) -> None:
        model = self.model
        requests = model.take(stream, [pick])
        other = model.workers[1 - who]
        actions: dict[str, Callable[[], None]] = {
            "crash": model.crash,
            "database": model.lose_database,
            "broker": model.lose_broker,
            "take_over": lambda: model.take_over(other, stream),
            "interrupt": lambda: model.interrupt(other, stream),
            "leave": lambda: self._with(model.users(), whom, lambda one: model.directory.remove("user", one)),
            "change": lambda: self._with(model.users(), whom, self._leave_and_come_back),
            "part": lambda: self._with(self._members(whom), whom, lambda edge: model.directory.remove_member(*edge)),
            "expire": model.tenant.reset_delta_tokens if self.tokens_die else model.crash,
            "error": lambda: model.tenant.faults.turn({"server_error_next": 1}),
        }
        model.stage.trap.set(boundary, actions[trap])
        model.turn(model.workers[who], requests)
        model.stage.trap.disarm()
        model.queue.away = False

    @rule(
        who=st.integers(0, 1),
        boundary=st.integers(0, 15) | st.integers(3, 9),
        whom=ANYONE,
        change=st.sampled_from(["leave", "change", "part", "join"]),
    )
    def change_and_die(self, who: int, boundary: int, whom: int, change: str) -> None:
        """Something changes, and the worker dies while it reads of it."""
        model = self.model
        match change:
            case "leave":
                self._with(model.users(), whom, lambda one: model.directory.remove("user", one))
            case "change":
                values = {"surname": f"Surname {boundary}"}
                self._with(model.users(), whom, lambda one: model.directory.update("user", one, values))
            case "part":
                self._with(self._members(whom), whom, lambda edge: model.directory.remove_member(*edge))
            case "join":
                self._with(model.users(), whom, lambda one: self._join(whom, one))
        stream = Stream.USERS if change in ("leave", "change") else Stream.GROUPS
        model.stage.trap.set(boundary, model.crash)
        model.turn(model.workers[who], [model.request(stream, Reason.POLL)])
        model.stage.trap.disarm()

    @invariant()
    def promises(self) -> None:
        self.model.check()

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self.model.settle()
            self.model.compare()

    # Helpers

    def _let_see(self, stream: Stream, *, seen: bool) -> None:
        if seen:
            self.model.turn(self.model.workers[0], [self.model.request(stream, Reason.POLL)])

    def _with(self, choices: list[Any], number: int, act: Callable[[Any], object]) -> None:
        if choices:
            self._try(lambda: act(choices[number % len(choices)]))

    def _try(self, act: Callable[[], object]) -> None:
        with suppress(ConflictError, NoSuchObjectError):
            act()

    def _leave_and_come_back(self, one: str) -> None:
        self.model.directory.remove("user", one)
        self.model.directory.restore("user", one)

    def _join(self, which: int, member: str) -> None:
        groups = self.model.groups()
        if groups:
            self.model.directory.add_member(groups[which % len(groups)], member)

    def _members(self, which: int) -> list[tuple[str, str]]:
        groups = self.model.groups()
        if not groups:
            return []
        group = groups[which % len(groups)]
        return [(group, one) for one in self.model.truth.members.get(group, ())]


class ScopedHistories(Histories):
    """The same, and now and then the scope changes, or what somebody is in it for."""

    @rule(groups=st.lists(ANYONE, max_size=2), condition=st.none() | st.sampled_from(list(CONDITIONS)))
    def limit(self, groups: list[int], condition: str | None) -> None:
        known = sorted(self.model.truth.groups)
        self.model.limit(sorted({known[number % len(known)] for number in groups if known}), condition)

    @rule(who=ANYONE, department=st.sampled_from(["Sales", "sales", "Board", None]))
    def move(self, who: int, department: str | None) -> None:
        values = {"department": department}
        self._with(self.model.users(), who, lambda one: self.model.directory.update("user", one, values))


class GuardedHistories(Histories):
    """The same, and every removal waits for an operator's decision."""

    def __init__(self) -> None:
        super().__init__()
        self.model.guard()

    @precondition(lambda self: self.tokens_die)
    @rule(hidden_share=st.sampled_from([0.0, 0.5, 1.0]))
    def hide(self, hidden_share: float) -> None:
        self.model.hide(hidden_share)

    @rule(seen=st.booleans())
    def leave_together(self, *, seen: bool) -> None:
        for one in self.model.users()[:3]:
            self.model.directory.remove("user", one)
        self._let_see(Stream.USERS, seen=seen)

    @rule(number=st.integers(0, 1), approve=st.booleans(), share=st.sampled_from([0.0, 0.5, 1.0]), seen=st.booleans())
    def decide(self, number: int, share: float, *, approve: bool, seen: bool) -> None:
        self._with(self.model.open_holds(), number, lambda one: self.model.decide(one, approve=approve, share=share))
        for stream in Stream:
            self._let_see(stream, seen=seen)


def play(
    found: Stage,
    machine: type[Histories] = Histories,
    *,
    histories: int,
    seed_number: int,
    steps: int = STEPS,
    shrink: bool = True,
) -> None:
    """Play random histories until one breaks a promise."""

    class Played(machine):  # type: ignore[valid-type,misc]
        stage = found

    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    run_state_machine_as_test(
        seed(seed_number)(Played),
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            phases=phases,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def found(sqlite_url: str, tmp_path: Path) -> Iterator[Stage]:
    with stage(sqlite_url, tmp_path / "authority") as made:
        yield made


@pytest.mark.timeout(0 if HISTORIES > 300 else 240)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_whatever_breaks_the_book_ends_equal_to_the_directory(found: Stage, shard: int) -> None:
    play(found, histories=HISTORIES // SHARDS, seed_number=SEED * SHARDS + shard)


@pytest.mark.timeout(0 if HISTORIES > 300 else 240)
def test_the_book_ends_equal_to_the_part_of_the_directory_that_is_in_the_scope(found: Stage) -> None:
    play(found, ScopedHistories, histories=HISTORIES // 2, seed_number=SEED)


@pytest.mark.timeout(0 if HISTORIES > 300 else 240)
def test_no_removal_is_made_that_was_not_approved_and_everybody_who_is_back_stays(found: Stage) -> None:
    play(found, GuardedHistories, histories=HISTORIES // 3, seed_number=SEED)


@pytest.mark.timeout(0 if HISTORIES > 300 else 240)
def test_whatever_breaks_the_book_ends_equal_on_postgresql_as_well(postgresql_url: str, tmp_path: Path) -> None:
    with stage(postgresql_url, tmp_path / "authority") as made:
        play(made, histories=HISTORIES // 15, seed_number=SEED * SHARDS + SHARDS)
        play(made, GuardedHistories, histories=HISTORIES // 15, seed_number=SEED + 1)
        play(made, ScopedHistories, histories=HISTORIES // 15, seed_number=SEED + 2)


# The model can fail: each of these workers is broken in one place, and the histories find it out.


def _cursor_before_rows(patch: pytest.MonkeyPatch) -> None:
    fetch = rounds._fetch_live_page

    def hasty(turn: Turn, link: str) -> DeltaPage:
        page = fetch(turn, link)
        values = {"next_link": page.next_link}
        if page.delta_link is not None:
            values["delta_link"] = page.delta_link
        with turn.database.write() as connection:
            leases.hold(turn.database, connection, turn.lease)
            leases.set_values(connection, turn.lease.key, values)
        return page

    patch.setattr(rounds, "_fetch_live_page", hasty)


def _sweep_after_each_page(patch: pytest.MonkeyPatch) -> None:
    keep = rounds._keep_full_page

    def hasty(turn: Turn, connection: Any, row: Any, page: DeltaPage, items: Any) -> None:
        keep(turn, connection, row, page, items)
        turn.sweep(turn.writer(connection, row, full=True))

    patch.setattr(rounds, "_keep_full_page", hasty)


def _live_people_not_marked_as_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply_users, "_mark_seen", lambda *_: None)


def _removed_members_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply_groups, "remove_edges", lambda *_: None)


def _removed_people_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply_users, "_remove", lambda *_: None)


def _nothing_read_itself(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Writer, "recheck", lambda *_: None)


def _nothing_held(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply_users, "hold_back", lambda *_: set())


def _sweeps_not_held(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply_users, "hold_back_unseen", lambda _writer, _stream, unseen: unseen)


def _everything_approved(patch: pytest.MonkeyPatch) -> None:
    remove = holds._remove
    patch.setattr(holds, "_remove", lambda writer, stream, *, up_to: remove(writer, stream, up_to=None))


def _nobody_let_go(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(apply_users, "let_go", lambda *_: None)


def _reach_not_marked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Writer, "_mark_scope", lambda *_: None)


def _nobody_enters(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reach, "entering", lambda _: [])


def _neither_follow_ups_nor_polls(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Advancer, "_ask_again_later", lambda *_: None)
    patch.setattr(Schedule, "_publish_polls", lambda *_: None)


# With each seed they are found out sooner or later; these seeds find them soon.


@pytest.mark.parametrize(
    ("broken", "seed_number"),
    [
        (_cursor_before_rows, 1),
        (_sweep_after_each_page, 2),
        (_live_people_not_marked_as_seen, 1),
        (_removed_members_ignored, 1),
        (_removed_people_ignored, 1),
        (_nothing_read_itself, 1),
        (_neither_follow_ups_nor_polls, 1),
    ],
)
def test_the_histories_notice(
    found: Stage, monkeypatch: pytest.MonkeyPatch, broken: Callable[[pytest.MonkeyPatch], None], seed_number: int
) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        play(found, histories=NOTICED_WITHIN, seed_number=seed_number, shrink=False)


@pytest.mark.parametrize(
    ("broken", "seed_number"),
    [(_reach_not_marked, 1), (_nobody_enters, 1)],
)
def test_the_scoped_histories_notice(
    found: Stage, monkeypatch: pytest.MonkeyPatch, broken: Callable[[pytest.MonkeyPatch], None], seed_number: int
) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        play(found, ScopedHistories, histories=NOTICED_WITHIN, seed_number=seed_number, shrink=False)


@pytest.mark.parametrize(
    ("broken", "seed_number"),
    [(_nothing_held, 1), (_sweeps_not_held, 3), (_everything_approved, 2), (_nobody_let_go, 1)],
)
def test_the_guarded_histories_notice(
    found: Stage, monkeypatch: pytest.MonkeyPatch, broken: Callable[[pytest.MonkeyPatch], None], seed_number: int
) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        play(found, GuardedHistories, histories=NOTICED_WITHIN, seed_number=seed_number, shrink=False)
