"""Publishing with confirms: `publish` returns only after the broker has the message safely.

One connection a process, driven by one thread; any number of threads publish through it and their confirms are
pipelined. A message is never sent twice by itself: whoever gets the error knows whether sending it again is right.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import pika
from pika.adapters.select_connection import SelectConnection
from pika.exceptions import AMQPError, ConnectionClosedByClient

from common import logging, topology
from common.broker import connection as broker_connection
from common.broker import trouble
from common.broker.outgoing import SENT_AT_HEADER, Outgoing
from common.clock import to_text, utc_now
from common.config import Settings
from common.errors import BrokerUnavailableError

CONFIRM_SECONDS = 1.5
RECONNECT_SECONDS = 0.5

log = logging.get("publisher")


class Publisher:
    """A thread that owns a connection, and the queue of what it is to send."""

    def __init__(self, settings: Settings, process: str) -> None:
        name = f"{broker_connection.process_name(process)} publishes"
        self._parameters = broker_connection.parameters(settings, name)
        self._app_id = process
        self._waiting: deque[tuple[Outgoing, Future[None]]] = deque()
        self._unconfirmed: dict[int, Future[None]] = {}
        self._by_message_id: dict[str, Future[None]] = {}
        self._next_tag = 1
        self._connection: SelectConnection | None = None
        self._channel: Any = None
        self._connected = threading.Event()
        self._stopping = threading.Event()
        self._down_since: float | None = None
        self._silent_since: float | None = None
        """Since when the broker, though connected, owes a confirm and has given none."""
        self._last_tried_at = 0.0
        self._is_woken = False
        self._why_down = ""
        self._retry_seconds = RECONNECT_SECONDS
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def publish(self, message: Outgoing, *, timeout_seconds: float = CONFIRM_SECONDS) -> None:
        """Send `message` and wait for the broker's confirm.

        Raises:
            BrokerUnavailableError: no confirm in time, refused, or no queue would take it. It may have arrived all the
                same, so a repeated message must be harmless.
        """
        self.publish_all([message], timeout_seconds=timeout_seconds)

    def publish_all(self, messages: Sequence[Outgoing], *, timeout_seconds: float = CONFIRM_SECONDS) -> None:
        """Send `messages` one behind the other and wait for all their confirms, together no longer than the time.

        Raises:
            BrokerUnavailableError: as for `publish`; some of them may have arrived.
        """
        self._ensure_started()
        deadline = time.monotonic() + timeout_seconds
        if self._given_up(timeout_seconds) or not self._connected.wait(timeout_seconds):
            raise BrokerUnavailableError(self._why_down or trouble.sentence(self._parameters, trouble.SILENCE))
        confirms: list[Future[None]] = [Future() for _ in messages]
        self._last_tried_at = time.monotonic()
        self._waiting.extend(zip(messages, confirms, strict=True))
        self._wake()
        try:
            for confirmed in confirms:
                confirmed.result(max(0.0, deadline - time.monotonic()))
        except FutureTimeoutError:
            for confirmed in confirms:
                confirmed.cancel()
            raise BrokerUnavailableError(f"RabbitMQ did not confirm within {timeout_seconds} s.") from None

    def is_connected(self) -> bool:
        """Tell whether there is a connection now; starts connecting if nobody has yet."""
        self._ensure_started()
        return self._connected.is_set()

    def close(self) -> None:
        """Close the connection and end the thread; what was not confirmed fails."""
        self._stopping.set()
        connection = self._connection
        if connection is not None:
            connection.ioloop.add_callback_threadsafe(self._close_connection)
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _ensure_started(self) -> None:
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                self._thread.start()

    def _given_up(self, patience_seconds: float) -> bool:
        """Whether the broker has been away or silent for so long that waiting for it would only hold the caller.

        While it is silent somebody still tries now and then: a confirm is how the end of the silence shows.
        """
        now = time.monotonic()
        down_since, silent_since = self._down_since, self._silent_since
        if down_since is not None and now - down_since > CONFIRM_SECONDS:
            return True
        is_silent = silent_since is not None and now - silent_since > patience_seconds
        return is_silent and now - self._last_tried_at < patience_seconds

    def _wake(self) -> None:
        """Have the publisher's thread send what waits; those who come before it begins share one call."""
        connection = self._connection
        if connection is not None and not self._is_woken:
            self._is_woken = True
            connection.ioloop.add_callback_threadsafe(self._send_waiting)

    # From here on everything runs on the publisher's own thread.

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._connect_and_serve()
            except Exception as error:
                # The one thread that publishes must outlive a defect, ours or pika's: it begins with a new connection.
                if not trouble.is_trouble(error):
                    log.exception("publisher_failed")
                self._on_lost(None, error)
            self._stopping.wait(self._retry_seconds)

    def _connect_and_serve(self) -> None:
        """Run one connection from its beginning to its end."""
        connection = SelectConnection(
            self._parameters,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_lost,
            on_close_callback=self._on_lost,
        )
        self._connection = connection
        if self._stopping.is_set():  # `close` may have looked for a connection before there was this one
            connection.ioloop.add_callback_threadsafe(self._close_connection)
        try:
            connection.ioloop.start()
        finally:
            connection.ioloop.close()

    def _on_open(self, connection: SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Any) -> None:
        channel.add_on_close_callback(self._on_channel_closed)
        channel.add_on_return_callback(self._on_returned)
        topology.declare(channel)
        # Requests on a channel are answered in their order: when this one is, everything above is declared.
        channel.confirm_delivery(self._on_confirm, callback=lambda _frame: self._on_ready(channel))

    def _on_ready(self, channel: Any) -> None:
        self._channel, self._next_tag = channel, 1
        self._is_up()
        log.info("broker_connected")
        self._send_waiting()

    def _on_blocked(self, _connection: SelectConnection, _frame: Any) -> None:
        """Treat a broker that is short of memory or disk like one that is away: it reads nothing until it has room."""
        log.warning("broker_blocked")
        self._is_down("it takes no messages until it has memory or disk space again")

    def _on_unblocked(self, _connection: SelectConnection, _frame: Any) -> None:
        log.info("broker_unblocked")
        if self._channel is not None:
            self._is_up()
            self._send_waiting()

    def _is_up(self) -> None:
        self._down_since, self._why_down, self._retry_seconds = None, "", RECONNECT_SECONDS
        self._connected.set()

    def _is_down(self, error: Exception | str) -> bool:
        """Note that nothing can be sent, and why; tell whether that is news."""
        self._connected.clear()
        self._down_since = self._down_since or time.monotonic()
        why, before = trouble.sentence(self._parameters, error), self._why_down
        self._why_down = why
        return why != before

    def _send_waiting(self) -> None:
        self._is_woken = False  # first: whoever comes from here on wakes again
        while self._waiting and self._connected.is_set():
            message, confirmed = self._waiting.popleft()
            if not confirmed.cancelled():
                self._send(message, confirmed)

    def _send(self, message: Outgoing, confirmed: Future[None]) -> None:
        sent_at = utc_now()
        properties = pika.BasicProperties(
            content_type="application/json",
            delivery_mode=pika.DeliveryMode.Persistent.value,
            message_id=message.message_id,
            correlation_id=message.correlation_id,
            timestamp=int(sent_at.timestamp()),
            type=message.type,
            app_id=self._app_id,
            headers={**message.headers, SENT_AT_HEADER: to_text(sent_at)},
        )
        try:
            self._channel.basic_publish(
                message.exchange,
                message.routing_key,
                message.body,
                properties=properties,
                mandatory=message.is_mandatory,
            )
        except AMQPError as error:
            _fail(confirmed, f"RabbitMQ refused to take a message: {type(error).__name__}.")
            return
        self._unconfirmed[self._next_tag] = confirmed
        self._by_message_id[message.message_id] = confirmed
        confirmed.add_done_callback(lambda _: self._by_message_id.pop(message.message_id, None))
        self._next_tag += 1
        self._silent_since = self._silent_since or time.monotonic()

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        refused = isinstance(method, pika.spec.Basic.Nack)
        first = min(self._unconfirmed, default=method.delivery_tag) if method.multiple else method.delivery_tag
        for tag in range(first, method.delivery_tag + 1):
            confirmed = self._unconfirmed.pop(tag, None)
            if confirmed is None:
                continue
            if refused:
                _fail(confirmed, "RabbitMQ refused the message (the queue is full or has no majority).")
            else:
                _succeed(confirmed)
        self._silent_since = time.monotonic() if self._unconfirmed else None

    def _on_returned(self, _channel: Any, method: Any, properties: Any, _body: bytes) -> None:
        """Fail a message that no queue took; its positive confirm follows and finds it settled."""
        confirmed = self._by_message_id.get(properties.message_id)
        if confirmed is not None:
            _fail(confirmed, f"No queue takes messages for {method.routing_key!r}.")

    def _on_channel_closed(self, channel: Any, reason: Exception) -> None:
        if self._stopping.is_set() or not channel.connection.is_open:
            return
        self._channel = None
        if trouble.is_declared_otherwise(reason):
            self._retry_seconds = broker_connection.UNMENDED_SECONDS
        if self._is_down(reason):
            log.error("broker_channel_closed", error=self._why_down, retry_seconds=self._retry_seconds)
        channel.connection.close()

    def _on_lost(self, connection: SelectConnection | None, error: Exception | str) -> None:
        said_goodbye = isinstance(error, ConnectionClosedByClient)  # who closed it has told why
        if not said_goodbye and self._is_down(error) and not self._stopping.is_set():
            log.warning("broker_lost", error=self._why_down, retry_seconds=self._retry_seconds)
        self._connected.clear()
        self._channel = None
        lost = list(self._unconfirmed.values()) + [confirmed for _, confirmed in self._waiting]
        self._unconfirmed.clear()
        self._waiting.clear()
        self._silent_since = None
        for confirmed in lost:
            _fail(confirmed, "The connection to RabbitMQ was lost before the confirm.")
        if connection is not None:
            connection.ioloop.stop()

    def _close_connection(self) -> None:
        """Say goodbye, or give up connecting; either way `_on_lost` follows and ends the loop."""
        connection = self._connection
        if connection is not None and not connection.is_closing and not connection.is_closed:
            connection.close()


def _succeed(confirmed: Future[None]) -> None:
    try:
        confirmed.set_result(None)
    except InvalidStateError:
        return  # the caller gave up waiting, or the message came back as unroutable


def _fail(confirmed: Future[None], sentence: str) -> None:
    try:
        confirmed.set_exception(BrokerUnavailableError(sentence))
    except InvalidStateError:
        return  # the caller gave up waiting
