"""The plan of a chaos run is a pure function of seed and length, and leaves no kind of fault out."""

from itertools import pairwise

import pytest

from tests.chaos.plan import KINDS, strikes

SEEDS = range(50)


def test_the_same_seed_and_length_make_the_same_plan_and_others_another() -> None:
    assert strikes(7, 120) == strikes(7, 120)
    assert strikes(7, 120) != strikes(8, 120)
    assert strikes(7, 120)[:10] != strikes(7, 121)[:10]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_is_in_the_plan_of_two_minutes(seed: int) -> None:
    assert {strike.kind for strike in strikes(seed, 120)} == set(KINDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_overlap_but_never_at_one_place(seed: int) -> None:
    plan = strikes(seed, 120)
    assert plan == sorted(plan, key=lambda strike: strike.at_seconds)
    assert any(first.at_seconds + first.seconds > second.at_seconds for first, second in pairwise(plan))
    for place in {strike.place for strike in plan}:
        there = [strike for strike in plan if strike.place == place]
        # Times are rounded to tenths of a second.
        assert all(first.at_seconds + first.seconds <= second.at_seconds + 0.11 for first, second in pairwise(there))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_fault_ends_with_the_run(seed: int) -> None:
    assert max(strike.at_seconds + strike.seconds for strike in strikes(seed, 120)) < 130


def test_a_short_run_has_few_faults_and_each_of_another_kind() -> None:
    plan = strikes(1, 40)
    assert len(plan) == 13
    assert len({strike.kind for strike in plan}) == 13
