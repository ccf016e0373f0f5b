"""What pika raises is trouble of broker or network, or a defect; the two are not mixed up."""

import pytest
from pika.exceptions import AMQPConnectionError

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
