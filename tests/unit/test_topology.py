"""Names and arguments in RabbitMQ: what every queue has, and where keys lead."""

from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import topology
from common.commands import Verb
from common.messages import LifecycleEvent, Stream


def test_every_queue_is_replicated_and_no_two_have_a_name_in_common() -> None:
    queues = topology.queues()
    assert len({queue.name for queue in queues}) == len(queues)
    assert all(queue.arguments["x-queue-type"] == "quorum" for queue in queues)
    assert all(queue.name.startswith("sync.") for queue in queues)


def test_nothing_is_lost_on_the_way_to_the_dead_letters_or_back_from_a_delay() -> None:
    for queue in topology.queues():
        if queue.name not in (topology.DEAD_LETTERS, topology.RESULTS):
            assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
            assert queue.arguments["x-overflow"] == "reject-publish"
            assert queue.arguments["x-dead-letter-exchange"] == topology.EXCHANGE


def test_every_key_leads_to_one_queue() -> None:
    keys = [*map(topology.request_key, Stream), *map(topology.lifecycle_key, LifecycleEvent)]
    keys += [*map(topology.command_key, Verb), topology.DELAYED_KEY, topology.DEAD_KEY, topology.REJECTED_KEY]
    keys += [topology.result_key("command")]
    patterns = {key.removesuffix(".*"): queue.name for queue in topology.queues() for key in queue.keys}
    assert {patterns[key.partition(".")[0]] for key in keys} == {
        topology.REQUESTS,
        topology.LIFECYCLE,
        topology.COMMANDS,
        topology.DEAD_LETTERS,
        topology.RESULTS,
    }
    assert all(key.count(".") == 1 for key in keys)  # a star stands for exactly one word


@given(st.floats(0, 10_000))
def test_a_delay_is_never_early_unless_it_is_longer_than_the_longest(delay: float) -> None:
    waited = int(topology.delayed_queue(delay).removeprefix("sync.delayed.").removesuffix("s"))
    assert waited >= min(delay, topology.DELAYS_SECONDS[-1])


@pytest.mark.parametrize(
    ("delay", "queue"), [(0.1, "1s"), (1, "1s"), (1.1, "5s"), (16, "60s"), (900, "900s"), (9e9, "900s")]
)
def test_the_shortest_delay_that_fits_is_taken(delay: float, queue: str) -> None:
    assert topology.delayed_queue(delay) == f"sync.delayed.{queue}"


def test_everything_is_declared_durable_and_bound() -> None:
    channel = Mock()
    topology.declare(channel)
    assert [call.args for call in channel.exchange_declare.call_args_list] == [
        ("sync", "topic"),
        ("addressbook", "topic"),
    ]
    assert all(call.kwargs["durable"] for call in channel.exchange_declare.call_args_list)
    assert all(call.kwargs["durable"] for call in channel.queue_declare.call_args_list)
    assert len(channel.queue_declare.call_args_list) == len(topology.queues())
    assert len(channel.queue_bind.call_args_list) == 5


def test_looking_at_dead_letters_again_and_again_loses_none() -> None:
    """RabbitMQ 4 drops from a quorum queue without a dead-letter exchange what was looked at twenty times."""
    [dead_letters] = [queue for queue in topology.queues() if queue.name == topology.DEAD_LETTERS]
    assert dead_letters.arguments["x-delivery-limit"] >= 1_000_000


def test_results_are_kept_for_a_while_and_so_many_and_hold_up_nobody() -> None:
    [results] = [queue for queue in topology.queues() if queue.name == topology.RESULTS]
    assert results.arguments["x-overflow"] == "drop-head"
    assert results.arguments["x-max-length"] == 1_000
    assert results.arguments["x-message-ttl"] == 7 * 24 * 60 * 60 * 1000
