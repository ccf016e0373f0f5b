"""What pika raises is trouble of broker or network, or a defect; the two are not mixed up."""

import pika
import pytest
from pika.exceptions import AMQPConnectionError, ConnectionClosedByBroker

from common.broker import trouble


@pytest.mark.parametrize(
    "error",
    [
        OSError("reset"),
        AMQPConnectionError(),
        ValueError("Expected connected socket, but getpeername() failed: error=OSError(107, 'not connected')"),
        AssertionError("Expected self conn=<SelectConnection CLOSED> from workflow, but got AMQPConnectionError()"),
    ],
)
def test_what_a_broken_network_makes_pika_raise_is_trouble(error: Exception) -> None:
    assert trouble.is_trouble(error)


@pytest.mark.parametrize("error", [ValueError("not a number"), AssertionError("no"), KeyError("x")])
def test_anything_else_is_a_defect(error: Exception) -> None:
    assert not trouble.is_trouble(error)


def test_when_a_part_of_the_broker_died_it_is_said_what_mends_that() -> None:
    """A channel of a broker whose supervisor of dead-lettering gave up ends so, for good, at every declaration."""
    error = ConnectionClosedByBroker(541, "INTERNAL_ERROR")
    said = trouble.sentence(pika.ConnectionParameters("rabbit.example", 5672), error)
    assert said.startswith("RabbitMQ cannot be reached at rabbit.example:5672: something in it failed (INTERNAL_ERROR)")
    assert "start RabbitMQ anew" in said
