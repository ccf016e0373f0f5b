"""Who takes operators' commands from the queue as the worker does, and answers them as the test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pika

from common import topology
from common.messages import Stream
from tests.support.book import Book

React = Callable[[dict[str, Any], str], None]
"""What is done with a command and its message id."""


@contextmanager
def a_worker(amqp_url: str, react: React) -> Iterator[None]:
    """Takes the commands from the queue as the worker does, and lets `react` write the rows."""
    stop = threading.Event()
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    topology.declare(connection.channel())

    def work() -> None:
        channel = connection.channel()
        while not stop.is_set():
            method, properties, body = channel.basic_get(topology.COMMANDS, auto_ack=True)
            if method is None:
                connection.sleep(0.05)
            else:
                react(json.loads(body), properties.message_id)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def answer_both(made: Book) -> React:
    """Both streams are answered by a round that ended well."""

    def react(_command: dict[str, Any], request_id: str) -> None:
        for stream in Stream:
            made.round(stream, request_id)

    return react
