"""Coalescing and pace: what waits for a stream is answered together, and no stream is rushed."""

import threading
from collections.abc import Iterator

import pytest

from common.messages import Reason, Stream
from tests.support.deliveries import TENANT, request, waiting
from tests.support.eventually import eventually
from worker.inbox import BURST_ROUNDS, PILE, Inbox, Pace, Waiting
from worker.leases import StreamKey

USERS, GROUPS = StreamKey(TENANT, Stream.USERS), StreamKey(TENANT, Stream.GROUPS)


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


@pytest.fixture
def inbox(clock: Clock) -> Iterator[Inbox]:
    inbox = Inbox(Pace(clock), clock)
    yield inbox
    inbox.close()


class OneLook(threading.Event):
    """Lets whoever waits look once, and then tells that it is over."""

    looks = 0

    def is_set(self) -> bool:
        self.looks += 1
        return self.looks > 1


def taken(inbox: Inbox) -> tuple[StreamKey, list[Waiting]] | None:
    """What `take` hands out now, or None when it would wait."""
    inbox.closed = OneLook()
    inbox._pause_seconds = lambda: 0.0  # type: ignore[method-assign]
    return inbox.take()


def key_of(handed_out: tuple[StreamKey, list[Waiting]] | None) -> StreamKey | None:
    return handed_out[0] if handed_out else None


# Coalescing


def test_all_that_waits_for_a_stream_is_handed_out_together(inbox: Inbox) -> None:
    deliveries = [waiting(request(minute=minute)) for minute in range(100)]
    for one in deliveries:
        inbox.put(one)
    assert inbox.take() == (USERS, deliveries)
    assert not inbox.has_waiting(USERS)


def test_streams_are_handed_out_one_by_one_in_the_order_of_their_first_request(inbox: Inbox) -> None:
    for stream in (Stream.GROUPS, Stream.USERS, Stream.GROUPS):
        inbox.put(waiting(request(stream=stream)))
    handed_out = [inbox.take(), inbox.take()]
    assert [(key, len(found)) for key, found in handed_out] == [(GROUPS, 2), (USERS, 1)]


def test_a_stream_under_work_is_not_handed_out_again_before_it_is_done(inbox: Inbox, clock: Clock) -> None:
    inbox.put(waiting(request()))
    inbox.take()
    clock.seconds += 1.0
    late = waiting(request(minute=1))
    inbox.put(late)
    assert taken(inbox) is None
    inbox.done(USERS)
    assert taken(inbox) == (USERS, [late])


def test_a_stream_that_is_done_and_has_nothing_waiting_rests(inbox: Inbox) -> None:
    inbox.put(waiting(request()))
    inbox.take()
    inbox.done(USERS)
    assert taken(inbox) is None


def test_a_busy_stream_holds_no_other_one_up(inbox: Inbox) -> None:
    inbox.put(waiting(request()))
    inbox.take()
    inbox.put(waiting(request(stream=Stream.GROUPS)))
    assert key_of(taken(inbox)) == GROUPS


def test_whoever_waits_for_a_stream_under_work_is_seen(inbox: Inbox) -> None:
    inbox.put(waiting(request()))
    inbox.take()
    assert not inbox.has_waiting(USERS)
    inbox.put(waiting(request()))
    assert inbox.has_waiting(USERS)


def test_the_rest_of_the_work_waiting_is_nobody_who_waits(inbox: Inbox) -> None:
    inbox.put(waiting(request(Reason.CONTINUED)))
    assert not inbox.has_waiting(USERS)
    inbox.put(waiting(request()))
    assert inbox.has_waiting(USERS)


# Delays


def test_a_delayed_request_is_handed_out_when_its_time_has_come(inbox: Inbox, clock: Clock) -> None:
    inbox.put(waiting(request()), delay_seconds=2.0)
    assert taken(inbox) is None
    clock.seconds += 2.0
    assert key_of(taken(inbox)) == USERS


def test_a_request_put_back_during_its_round_is_delayed_all_the_same(inbox: Inbox, clock: Clock) -> None:
    first = waiting(request())
    inbox.put(first)
    inbox.take()
    inbox.put(first, delay_seconds=2.0)
    inbox.done(USERS)
    assert taken(inbox) is None
    clock.seconds += 2.0
    assert taken(inbox) == (USERS, [first])


def test_a_delay_does_not_outlive_the_round_it_was_for(inbox: Inbox, clock: Clock) -> None:
    inbox.put(waiting(request()), delay_seconds=2.0)
    clock.seconds += 2.0
    inbox.take()
    clock.seconds += 1.0
    inbox.put(waiting(request()))
    inbox.done(USERS)
    assert key_of(taken(inbox)) == USERS


# Pace


def test_a_rested_stream_waits_for_nothing(pace: Pace) -> None:
    assert pace.wait_seconds(USERS) == 0.0


def test_the_rounds_of_a_burst_begin_at_once_and_wait_longer_and_longer_up_to_a_second(
    pace: Pace, clock: Clock
) -> None:
    waits = []
    for _ in range(60):
        pace.spend(USERS)
        waits.append(pace.wait_seconds(USERS))
        clock.seconds += waits[-1]
    assert waits == sorted(waits)
    assert waits[4] < 0.02
    assert max(waits[: next(number for number in range(60) if sum(waits[:number]) >= 1.0)]) < 0.3
    assert waits[-1] == pytest.approx(1.0, abs=0.02)
    assert sum(waits) > 60 - BURST_ROUNDS - 1


def test_a_few_changes_a_second_do_not_wait(pace: Pace, clock: Clock) -> None:
    for _ in range(20):
        assert pace.wait_seconds(USERS) == 0.0
        pace.spend(USERS)
        clock.seconds += 0.5


def test_under_a_steady_stream_of_requests_there_is_one_round_a_second(pace: Pace, clock: Clock) -> None:
    rounds = 0
    for _ in range(1_000):
        clock.seconds += 0.1
        if pace.wait_seconds(USERS) <= 1e-6:
            pace.spend(USERS)
            rounds += 1
    assert BURST_ROUNDS + 97 <= rounds <= BURST_ROUNDS + 101


def test_a_pause_gives_the_burst_back_but_never_more(pace: Pace, clock: Clock) -> None:
    for _ in range(50):
        pace.spend(USERS)
    clock.seconds += 10_000
    for _ in range(int(BURST_ROUNDS)):
        pace.spend(USERS)
    assert pace.wait_seconds(USERS) == pytest.approx(1.0)


def test_streams_have_a_pace_of_their_own(pace: Pace) -> None:
    for _ in range(30):
        pace.spend(USERS)
    assert pace.wait_seconds(GROUPS) == 0.0


def test_streams_that_rest_take_no_room(pace: Pace, clock: Clock) -> None:
    for number in range(10_001):
        pace.spend(StreamKey(f"{number}", Stream.USERS))
        clock.seconds += 1.0
    assert len(pace._buckets) < 100


def test_the_inbox_keeps_the_pace(inbox: Inbox, clock: Clock) -> None:
    for _ in range(int(BURST_ROUNDS)):
        inbox._pace.spend(USERS)
    inbox.put(waiting(request()))
    assert taken(inbox) is None
    clock.seconds += 1.0
    assert key_of(taken(inbox)) == USERS


# Threads


def test_closing_frees_all_who_wait_and_hands_out_nothing_more() -> None:
    inbox = Inbox()
    ended = []
    threads = [threading.Thread(target=lambda: ended.append(inbox.take())) for _ in range(4)]
    for thread in threads:
        thread.start()
    inbox.close()
    inbox.put(waiting(request()))
    for thread in threads:
        thread.join(10)
    assert ended == [None] * 4


def test_no_two_threads_ever_work_at_one_stream() -> None:
    inbox = Inbox(Pace(Clock()))
    at_work: set[StreamKey] = set()
    answered, clashes = [], []

    def work() -> None:
        while (handed_out := inbox.take()) is not None:
            key, found = handed_out
            if key in at_work:
                clashes.append(key)
            at_work.add(key)
            answered.extend(found)
            at_work.discard(key)
            inbox.done(key)

    inbox._pace.wait_seconds = lambda _: 0.0  # type: ignore[method-assign]  # the pace is another matter
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(2_000):
        inbox.put(waiting(request(stream=list(Stream)[number % 2], tenant_id=str(number % 3))))
    eventually(lambda: len(answered) == 2_000)
    inbox.close()
    for thread in threads:
        thread.join(10)
    assert clashes == []


def test_what_piles_up_behind_a_stream_under_way_is_taken_as_a_whole() -> None:
    inbox = Inbox()
    inbox.put(waiting(request()))
    taken = inbox.take()
    assert taken is not None
    key = taken[0]
    for number in range(PILE):
        assert inbox.take_pile(key) == []
        inbox.put(waiting(request(minute=number)))
    assert [one.request.requested_at.minute for one in inbox.take_pile(key)] == list(range(PILE))
    assert not inbox.has_waiting(key)
    inbox.done(key)
    inbox.put(waiting(request()))
    assert inbox.take() is not None


def test_what_waits_for_a_stream_that_is_not_under_way_is_no_pile() -> None:
    inbox = Inbox()
    for _ in range(PILE + 1):
        inbox.put(waiting(request()))
    key = StreamKey(TENANT, Stream.USERS)
    assert inbox.take_pile(key) == []
    taken = inbox.take()
    assert taken is not None
    assert len(taken[1]) == PILE + 1
