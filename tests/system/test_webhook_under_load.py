"""`make load` in short: whoever posts, and whatever becomes of the broker, what was acknowledged is in the queue."""

from pathlib import Path

import pytest

from deploy.local.runs import Run
from tests.load.proof import failures
from tests.load.rehearsal import Plan, rehearse

pytestmark = pytest.mark.system


def test_under_load_among_strangers_and_with_a_broker_that_comes_and_goes_nothing_acknowledged_is_lost(
    tmp_path: Path, amqp_url: str
) -> None:
    with Run.claim("load", var=tmp_path) as run:
        plan = Plan(seconds=8, rate=150, connections=8, slow_clients=8, processes=2, threads=8)
        seen, _fired = rehearse(run, amqp_url, plan)
    assert failures(seen, timed=False) == []
