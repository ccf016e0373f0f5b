"""The adapter to RabbitMQ: pika's exceptions and threads stop here.

`outgoing` says what a message looks like on the wire, `publisher` sends it and waits for the confirm, `consumer`
receives, `trouble` says in a sentence what is wrong. Names and arguments of queues are in `common.topology`.
"""
