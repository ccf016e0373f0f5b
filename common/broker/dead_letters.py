"""The queue of dead letters: taken in hand as a whole, and let go again where nothing else was done with them.

RabbitMQ has no way to look into a queue without taking. Four things follow, and are kept here:

* **Nothing is lost, and the order stays.** Taken letters are let go by closing the channel: RabbitMQ then puts them
  back at the head, as they were, and does the same when this program or its connection dies. (One that is refused with
  `basic.nack` would go to the end of the queue.)
* **Looking wears out.** RabbitMQ counts how often a message came back, and since 4.0 a queue without a limit of its
  own drops it after 20 times. So when one came back `WORN_COUNT` times, all are laid down anew, in their order.
* **One at a time.** Whoever looks while another has the letters would see none and believe that all is well. An
  exclusive queue is the lock: RabbitMQ removes it with the connection that made it, however that ends.
* **Publish, then settle.** A replay is settled among the dead letters only when RabbitMQ has confirmed it where it
  went. A crash in between leaves the message twice, which is harmless: a request that is repeated finds nothing new,
  and a decision about held removals is carried out once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pika
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

from common import topology
from common.broker import connection as broker_connection
from common.broker import trouble
from common.broker.dead_letter import COUNTS, REPLAYS_LIMIT, DeadLetter, read
from common.broker.outgoing import REPLAYS_HEADER
from common.config import Settings
from common.errors import BrokerUnavailableError, RetryLaterError

MOST = 10_000
"""So many are taken in hand at most: the oldest. The others stay where they are."""

WORN_COUNT = 10
PATIENCE_SECONDS = 15.0
LOOK_SECONDS = 0.1
SILENCE_SECONDS = 2.0
"""Letters that do not come for so long are in somebody else's hands, such as a management page's."""

NOT_FOUND = 404
LOCKED = 405
KEPT_HEADERS = ("x-tenant", "x-stream", "x-event")
"""What tells people what a message is about; the other headers tell how it died, or would send it elsewhere."""


class InOtherHandsError(RetryLaterError):
    """Somebody else has the dead letters in hand, and does not let go."""


@contextmanager
def held(settings: Settings, process: str) -> Iterator[Hand]:
    """Have the dead letters in hand as long as the block lasts; what was neither replayed nor dropped goes back.

    Never wait for a person within: everybody else waits too. `process` is how the connection is called.

    Raises:
        BrokerUnavailableError: RabbitMQ is away or refuses, or went away before all that was done was settled.
        InOtherHandsError: somebody else has them in hand and does not let go.
    """
    hand = Hand(settings, process)
    try:
        hand.take()
        yield hand
        hand.let_go()
    finally:
        hand.close()


def replay_all(settings: Settings, process: str, concerned: Callable[[DeadLetter], bool]) -> tuple[int, int]:
    """Replay those of the letters that are `concerned` and can be carried out; return how many were, and were not.

    Raises:
        BrokerUnavailableError, InOtherHandsError: as for `held`; some may have been replayed.
    """
    replayed = left = 0
    with held(settings, process) as hand:
        for tag, letter in list(hand.letters.items()):
            if not concerned(letter):
                continue
            if letter.message is None or letter.replays >= REPLAYS_LIMIT:
                left += 1
            else:
                hand.replay(tag)
                replayed += 1
    return replayed, left


class Hand:
    """The dead letters in hand, by their delivery tags, oldest first; `total` counts those beyond `MOST` too."""

    def __init__(self, settings: Settings, process: str) -> None:
        self._parameters = broker_connection.parameters(settings, broker_connection.process_name(process))
        self._connection: pika.BlockingConnection | None = None
        self._taking: Any = None
        self._sending: Any = None
        self.letters: dict[int, DeadLetter] = {}
        self.total = 0

    def take(self) -> None:
        """Take them, as soon as nobody else has them in hand."""
        with self._trouble():
            self._connection = broker_connection.connect(self._parameters)
            self._lock(self._connection)
            self._sending = self._connection.channel()
            self._sending.confirm_delivery()
            self._taking = self._connection.channel()
            try:
                self.total = _ready(self._taking)
            except ChannelClosedByBroker as error:
                if error.reply_code != NOT_FOUND:
                    raise
                return  # no worker has ever run here
            self._receive(min(self.total, MOST))

    def replay(self, tag: int) -> None:
        """Publish a letter where it failed, the same message once more, and settle it when that is confirmed.

        Raises:
            BrokerUnavailableError: it is not known to have arrived; it stays among the dead letters.
        """
        letter = self.letters[tag]
        headers = {name: value for name in KEPT_HEADERS if isinstance(value := letter.headers.get(name), str)}
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=pika.DeliveryMode.Persistent.value,
            message_id=letter.properties.message_id,
            timestamp=letter.properties.timestamp,
            type=letter.properties.type,
            app_id=letter.properties.app_id,
            headers=headers | {REPLAYS_HEADER: letter.replays + 1},
        )
        with self._trouble():
            self._publish(letter.origin, letter.body, properties)
            self._settle(tag)

    def drop(self, tag: int) -> None:
        """Remove a letter for good."""
        with self._trouble():
            self._settle(tag)

    def let_go(self) -> None:
        """Put back what is left and see it back: who comes next must find all of it.

        Raises:
            BrokerUnavailableError: RabbitMQ went away; what was settled last may come back.
        """
        with self._trouble():
            if any(letter.times_returned >= WORN_COUNT for letter in self.letters.values()):
                self._lay_down_anew()
            if self._taking is None or self._taking.is_closed:
                return
            others = _ready(self._sending)
            self._taking.close()
            self._see_back(others + len(self.letters))

    def close(self) -> None:
        """Let everything go at once."""
        if self._connection is not None and self._connection.is_open:
            with suppress(*trouble.ERRORS):
                self._connection.close()

    def _receive(self, expected: int) -> None:
        if not expected:
            return
        self._taking.basic_qos(prefetch_count=expected)
        arriving = self._taking.consume(topology.DEAD_LETTERS, inactivity_timeout=SILENCE_SECONDS)
        for method, properties, body in arriving:
            if method is None:
                break
            self.letters[method.delivery_tag] = read(properties, body)
            if len(self.letters) == expected:
                break
        self._taking.cancel()  # or each that is settled would bring another, which nobody looks at

    def _lay_down_anew(self) -> None:
        for tag, letter in list(self.letters.items()):
            self._publish(topology.DEAD_LETTERS, letter.body, _without_counts(letter))
            self._settle(tag)

    def _settle(self, tag: int) -> None:
        self._taking.basic_ack(tag)
        del self.letters[tag]

    def _publish(self, queue: str, body: bytes, properties: pika.BasicProperties) -> None:
        try:
            self._sending.basic_publish("", queue, body, properties, mandatory=True)
        except UnroutableError:
            raise BrokerUnavailableError(f"There is no queue {queue}: a worker makes it when it starts.") from None
        except NackError:
            raise BrokerUnavailableError(
                "RabbitMQ refused the message (the queue is full or has no majority)."
            ) from None

    def _lock(self, connection: pika.BlockingConnection) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                connection.channel().queue_declare(topology.DEAD_LETTERS_LOCK, exclusive=True)
            except ChannelClosedByBroker as error:
                if error.reply_code != LOCKED:
                    raise
            else:
                return
            if time.monotonic() > deadline:
                raise InOtherHandsError("Somebody else has the dead letters in hand just now. Try again in a while.")
            connection.sleep(LOOK_SECONDS)

    def _see_back(self, expected: int) -> None:
        """Wait until the queue holds so many again; it takes RabbitMQ some milliseconds."""
        deadline = time.monotonic() + SILENCE_SECONDS
        while _ready(self._sending) < expected and time.monotonic() < deadline:
            time.sleep(0.001)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Turn pika's errors into a sentence."""
        try:
            yield
        except trouble.ERRORS as error:
            raise BrokerUnavailableError(trouble.sentence(self._parameters, error)) from None


def _ready(channel: Any) -> int:
    """Count the dead letters that nobody has in hand."""
    return int(channel.queue_declare(topology.DEAD_LETTERS, passive=True).method.message_count)


def _without_counts(letter: DeadLetter) -> pika.BasicProperties:
    """Return the properties of a letter as they were, without RabbitMQ's counts, and nothing that would send copies."""
    left_out = (*COUNTS, "CC", "BCC")
    found = letter.properties
    return pika.BasicProperties(
        content_type=found.content_type,
        content_encoding=found.content_encoding,
        headers={name: value for name, value in letter.headers.items() if name not in left_out},
        delivery_mode=pika.DeliveryMode.Persistent.value,
        message_id=found.message_id,
        timestamp=found.timestamp,
        type=found.type,
        app_id=found.app_id,
    )
