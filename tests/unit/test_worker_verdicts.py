"""The reaction to each failure."""

import pytest

from common.errors import (
    AccessError,
    BadPageError,
    BrokerUnavailableError,
    DatabaseUnavailableError,
    EntraSmsError,
    LeaseLostError,
    ResyncNeededError,
    RetryLaterError,
    SettingsError,
)
from common.graph.answers import (
    DoubtfulTokenError,
    GraphNotFoundError,
    GraphThrottledError,
    GraphUnavailableError,
    PermissionMissingError,
)
from worker.verdicts import ATTEMPTS_LIMIT, Reaction, verdict_on

PASSING = [
    BadPageError("x"),
    BrokerUnavailableError("x"),
    DatabaseUnavailableError("x"),
    DoubtfulTokenError("x", 400, ""),
    GraphUnavailableError("x"),
    LeaseLostError("x"),
    RetryLaterError("x"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_passing_trouble_is_retried_a_limited_number_of_times(error: Exception) -> None:
    reactions = [verdict_on(error, attempt).reaction for attempt in range(ATTEMPTS_LIMIT + 2)]
    assert reactions == [Reaction.RETRY] * ATTEMPTS_LIMIT + [Reaction.GIVE_UP] * 2


def test_without_a_wish_of_the_other_side_the_delays_grow() -> None:
    delays = [verdict_on(RetryLaterError("x"), attempt).delay_seconds for attempt in range(ATTEMPTS_LIMIT)]
    assert all(2**attempt / 2 <= delay <= 2**attempt for attempt, delay in enumerate(delays))


@pytest.mark.parametrize("attempt", [0, 5, 1_000])
def test_throttling_is_waited_out_as_long_as_graph_asks_however_often(attempt: int) -> None:
    verdict = verdict_on(GraphThrottledError("x", 90.0), attempt)
    assert verdict.reaction is Reaction.RETRY
    assert 90.0 <= verdict.delay_seconds <= 108.0


@pytest.mark.parametrize("seconds", [None, 0.0])
def test_throttling_that_asks_for_no_delay_is_retried_slower_and_slower_and_then_left_to_the_poll(
    seconds: float | None,
) -> None:
    error = GraphThrottledError("x", seconds)
    assert verdict_on(error, ATTEMPTS_LIMIT - 1).delay_seconds >= 2 ** (ATTEMPTS_LIMIT - 1) / 2
    assert verdict_on(error, ATTEMPTS_LIMIT).reaction is Reaction.GIVE_UP


def test_a_restart_that_may_be_made_at_once_is_not_delayed() -> None:
    assert verdict_on(RetryLaterError("x", 0.0), 0).delay_seconds == 0.0


@pytest.mark.parametrize(
    "error", [AccessError("a", "b", "c"), PermissionMissingError("a", "b", "c"), SettingsError("x")]
)
def test_what_only_a_person_can_mend_is_not_repeated(error: Exception) -> None:
    assert verdict_on(error, 0).reaction is Reaction.SETTLE


@pytest.mark.parametrize("error", [GraphNotFoundError("x"), ResyncNeededError("x"), EntraSmsError("x")])
def test_other_named_failures_are_left_to_the_poll(error: Exception) -> None:
    assert verdict_on(error, 0).reaction is Reaction.GIVE_UP


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), MemoryError()])
def test_a_defect_goes_to_the_dead_letters(error: Exception) -> None:
    assert verdict_on(error, 0).reaction is Reaction.REJECT
