"""The one request that stands for several after a failure."""

import pytest

from common.messages import OBJECT_IDS_LIMIT, Mode, Reason
from tests.support.deliveries import request
from worker.advance import wishes_of
from worker.dispatch import merged


def test_a_single_request_stays_what_it_is() -> None:
    one = request(Reason.FOLLOW_UP, object_ids=("a",), follow_up=2, attempt=3)
    assert merged([one]) == one


def test_every_announced_object_is_named_once() -> None:
    assert merged([request(object_ids=("b", "a")), request(object_ids=("c", "b"))]).object_ids == ("a", "b", "c")


def test_more_objects_than_a_message_should_carry_are_not_named() -> None:
    many = [request(object_ids=tuple(f"{number}-{i}" for i in range(600))) for number in range(3)]
    assert len(merged(many).object_ids) == OBJECT_IDS_LIMIT


def test_a_full_round_asked_for_by_one_is_asked_for_by_all() -> None:
    one = merged([request(), request(Reason.MISSED, mode=Mode.FULL), request(Reason.POLL)])
    assert (one.mode, one.reason) == (Mode.FULL, Reason.MISSED)


def test_an_operator_is_never_hidden_by_others() -> None:
    assert merged([request(), request(Reason.OPERATOR)]).reason is Reason.OPERATOR


def test_later_hints_do_not_make_a_full_round_look_as_if_it_was_asked_for_anew() -> None:
    asked = request(Reason.OPERATOR, mode=Mode.FULL, minute=1)
    assert merged([request(minute=0), asked, request(minute=9)]).requested_at == asked.requested_at


def test_of_full_rounds_the_latest_counts() -> None:
    asked = [request(mode=Mode.FULL, minute=minute) for minute in (3, 7, 5)]
    assert merged(asked).requested_at == asked[1].requested_at


def test_the_failures_so_far_are_not_forgotten_and_no_object_is_skipped_ahead() -> None:
    one = merged([request(attempt=1, follow_up=2), request(attempt=4, follow_up=0)])
    assert (one.attempt, one.follow_up) == (4, 0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_order_of_requests_does_not_change_what_is_wished_for(order: tuple[int, int]) -> None:
    both = [request(minute=2), request(Reason.MISSED, mode=Mode.FULL)]
    wishes = wishes_of([both[place] for place in order])
    assert (wishes.full_reason, wishes.full_requested_at) == (Reason.MISSED, both[1].requested_at)


def test_requests_for_a_look_wish_for_nothing_more() -> None:
    wishes = wishes_of([request(), request(Reason.POLL)])
    assert (wishes.full_reason, wishes.full_requested_at, wishes.request_ids) == (None, None, ())
