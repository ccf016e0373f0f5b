"""POSTs that come at the same time share messages and confirms; what becomes of a group is told to its POSTs alone."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from common.broker.outgoing import Outgoing
from common.broker.publisher import CONFIRM_SECONDS
from common.errors import BrokerUnavailableError
from common.messages import LifecycleEvent, Stream, decode_request
from tests.support.eventually import eventually
from tests.support.notifications import OTHER_TENANT, TENANT, guid
from webhook.group_commit import GATHER_SECONDS, GATHER_TIMES, Group, GroupCommit
from webhook.metrics import Metrics
from webhook.payload import Change, Lifecycle

NOW = datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)


class HeldPublisher:
    """Publishes as long as it is not held, and fails in the way it is told to."""

    def __init__(self) -> None:
        self.published: list[Sequence[Outgoing]] = []
        self.timeouts: list[float] = []
        self.error: Exception | None = None
        self.reached = threading.Semaphore(0)
        self._free = threading.Event()
        self._free.set()

    def publish_all(self, messages: Sequence[Outgoing], *, timeout_seconds: float) -> None:
        self.timeouts.append(timeout_seconds)
        self.reached.release()
        assert self._free.wait(60)
        if self.error is not None:
            raise self.error
        self.published.append(messages)

    @contextmanager
    def held(self) -> Iterator[None]:
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()


@pytest.fixture
def publisher() -> HeldPublisher:
    return HeldPublisher()


@pytest.fixture
def commit(publisher: HeldPublisher) -> GroupCommit:
    given: Any = publisher
    return GroupCommit(given, Metrics(), lambda: NOW)


def change(object_id: str, stream: Stream = Stream.USERS, tenant: str = TENANT) -> tuple[Change, Stream]:
    return Change(tenant, stream, object_id, "proven"), stream


def over(*groups: Group) -> None:
    for group in groups:
        group.wait()


def test_who_comes_while_a_group_is_on_its_way_shares_the_next_message(
    commit: GroupCommit, publisher: HeldPublisher
) -> None:
    ids = sorted(guid() for _ in range(20))
    with publisher.held():
        first = commit.join([change(ids[0])])
        assert publisher.reached.acquire(timeout=60)
        others = [commit.join([change(object_id)]) for object_id in ids[1:]]
    over(first, *others)

    assert [len(messages) for messages in publisher.published] == [1, 1]
    shared = decode_request(publisher.published[1][0].body)
    assert (shared.object_ids, shared.requested_at) == (tuple(ids[1:]), NOW)
    assert {group.error for group in (first, *others)} == {None}
    assert len(set(map(id, others))) == 1


def test_after_a_group_of_several_the_next_one_waits_as_long_as_others_join(
    commit: GroupCommit, publisher: HeldPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.group_commit.BUSY_SECONDS", 60.0)
    first, *others = sorted(guid() for _ in range(GATHER_TIMES + 2))
    coming = iter(others)
    monkeypatch.setattr(
        "webhook.group_commit.time.sleep",
        lambda seconds: commit.join([change(next(coming))]) if seconds == GATHER_SECONDS else None,
    )
    with publisher.held():
        alone = commit.join([change(guid())])
        assert publisher.reached.acquire(timeout=60)
        over_both = [commit.join([change(guid())]) for _ in range(2)]
    over(alone, *over_both)
    assert list(coming) == others, "somebody waited after a POST that came alone"

    coming = iter(others)
    over(commit.join([change(first)]))
    assert decode_request(publisher.published[2][0].body).object_ids == (first, *others[:GATHER_TIMES])


def test_tenants_streams_and_lifecycle_events_have_messages_of_their_own(
    commit: GroupCommit, publisher: HeldPublisher
) -> None:
    missed = Lifecycle(TENANT, LifecycleEvent.MISSED, guid(), "proven"), Stream.USERS
    items = [change(guid()), change(guid(), Stream.GROUPS), change(guid(), tenant=OTHER_TENANT), missed, change(guid())]
    over(commit.join(items))
    [messages] = publisher.published
    assert [message.routing_key for message in messages] == [
        "request.users",
        "request.groups",
        "request.users",
        "lifecycle.missed",
    ]


@pytest.mark.parametrize("error", [BrokerUnavailableError("away"), KeyError("a defect")])
def test_an_error_is_that_of_the_whole_group_and_of_no_other(
    commit: GroupCommit, publisher: HeldPublisher, error: Exception
) -> None:
    publisher.error = error
    with publisher.held():
        first = commit.join([change(guid())])
        assert publisher.reached.acquire(timeout=60)
        second = [commit.join([change(guid())]) for _ in range(2)]
    over(first, *second)
    assert [group.error for group in (first, *second)] == [error] * 3

    publisher.error = None
    last = commit.join([change(guid())])
    over(last)
    assert last.error is None


def test_a_group_is_given_up_when_its_first_post_has_waited_for_a_confirm_as_long_as_anybody(
    commit: GroupCommit, publisher: HeldPublisher
) -> None:
    with publisher.held():
        over_soon = commit.join([change(guid())])
        assert publisher.reached.acquire(timeout=60)
        late = commit.join([change(guid())])
        late.until -= CONFIRM_SECONDS  # as if the group before had taken all the time
    over(over_soon, late)
    assert 0 < publisher.timeouts[0] <= CONFIRM_SECONDS
    assert publisher.timeouts[1] == 0


def test_the_thread_ends_when_nothing_comes_and_there_is_one_again_when_something_does(
    commit: GroupCommit, publisher: HeldPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.group_commit.IDLE_SECONDS", 0.01)
    for count in (1, 2):
        over(commit.join([change(guid())]))
        eventually(lambda: not commit._is_publishing)
        assert len(publisher.published) == count


def test_without_a_thread_to_be_had_the_next_post_publishes_what_was_left(
    commit: GroupCommit, publisher: HeldPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, come = sorted((guid(), guid()))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(RuntimeError):
            commit.join([change(left)])
    over(commit.join([change(come)]))
    [[message]] = publisher.published
    assert decode_request(message.body).object_ids == (left, come)


def _no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_whoever_asks_is_called_when_the_group_is_over_and_not_when_it_is_already(
    commit: GroupCommit, publisher: HeldPublisher
) -> None:
    called = threading.Event()
    with publisher.held():
        group = commit.join([change(guid())])
        assert group.when_over(called.set)
        assert not called.is_set()
    assert called.wait(60)
    assert not group.when_over(called.clear)
    assert called.is_set()
