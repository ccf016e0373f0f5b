"""How long the fuzz tests go on: bounded and always the same in `make test`, as long as you like by hand.

`FUZZ_EXAMPLES=20000` tries more inputs a test, `FUZZ_SEED=7` others.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, example, seed, settings

DEFAULT_EXAMPLES = 300
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", str(DEFAULT_EXAMPLES)))
SEED = int(os.environ.get("FUZZ_SEED", "1"))

Test = TypeVar("Test", bound=Callable[..., None])


def fuzz(*, cost: float = 1.0) -> Callable[[Test], Test]:
    """Decorate a test with `given`: it gets `EXAMPLES / cost` inputs, drawn from the seed alone."""
    chosen = settings(
        max_examples=max(1, round(EXAMPLES / cost)),
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )

    def decorated(test: Test) -> Test:
        patient = pytest.mark.timeout(0 if EXAMPLES > DEFAULT_EXAMPLES else 240)
        found: Test = patient(chosen(seed(SEED)(test)))
        return found

    return decorated


def known(**values: list[Any]) -> Callable[[Test], Test]:
    """Try these inputs first, each time: what was found once, or is known to be nasty.

    Args:
        values: One name of an argument, and what it is to be.
    """
    [(name, inputs)] = values.items()

    def decorated(test: Test) -> Test:
        for one in reversed(inputs):
            test = example(**{name: one})(test)
        return test

    return decorated
