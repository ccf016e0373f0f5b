"""The private RabbitMQ node that newcomers, the demo and the tests get."""

import pika

from tests.support.broker import Vhost


def test_a_message_goes_through_the_vhost_of_a_test(amqp_url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare("letters", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "letters", b"hello", mandatory=True)
        _, _, body = channel.basic_get("letters", auto_ack=True)
    assert body == b"hello"


def test_the_vhost_of_a_test_is_empty(vhost: Vhost) -> None:
    assert vhost.queues() == {}
