"""A broker as a worker finds and leaves it, without a worker."""

import pika

from common import topology


def declared(amqp_url: str) -> None:
    """Declare everything."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        topology.declare(connection.channel())


def listening(amqp_url: str) -> pika.BlockingConnection:
    """Return a connection that listens for requests, as long as it is open."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    connection.channel().basic_consume(topology.REQUESTS, lambda *_: None)
    return connection
