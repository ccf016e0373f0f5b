"""Waiting: what was asked for is honoured; otherwise longer each time, up to a ceiling, never all at once."""

from hypothesis import given
from hypothesis import strategies as st

from common.backoff import delay_seconds


@given(st.integers(0, 10_000), st.floats(0, 10_000))
def test_what_was_asked_for_is_never_undercut(attempt: int, asked: float) -> None:
    assert asked <= delay_seconds(attempt, asked_seconds=asked) <= asked * 1.2


@given(st.integers(0, 10_000), st.floats(1, 1_000))
def test_it_never_waits_longer_than_the_longest(attempt: int, longest: float) -> None:
    assert 0 < delay_seconds(attempt, longest_seconds=longest) <= longest


@given(st.integers(0, 8))
def test_each_try_waits_about_twice_as_long_as_the_one_before(attempt: int) -> None:
    assert 2.0**attempt / 2 <= delay_seconds(attempt) <= 2.0**attempt
