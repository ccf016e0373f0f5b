"""From deliveries to work: reads each message, hands it to whoever does it, and settles it when it is done.

Nothing is settled before its work is committed, or before the message that stands for the rest of it is confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from common import logging, topology
from common.broker import outgoing
from common.broker.consumer import Delivery
from common.broker.publisher import Publisher
from common.clock import utc_now
from common.errors import BrokerUnavailableError, EntraSmsError, MessageUnreadableError, RetryLaterError
from common.messages import (
    OBJECT_IDS_LIMIT,
    Mode,
    Reason,
    SyncRequest,
    decode_lifecycle,
    decode_request,
)
from worker import metrics
from worker.advance import Advancer
from worker.commands import Commands
from worker.inbox import Inbox, Waiting
from worker.leases import StreamKey
from worker.lifecycle import Lifecycle
from worker.verdicts import Reaction, verdict_on

PUBLISH_SECONDS = 10.0
REPUT_SECONDS = 2.0
WORN_COUNT = 10
"""A request that came back so often is published anew, before RabbitMQ's delivery limit takes it for poison.

RabbitMQ counts every return: lost connections, stopped workers, other streams' crashes. A stream whose page kills its
worker is no matter of the message: the next delivery finds the dead worker's lease and leaves word there, so such a
stream is tried again by the poll once the lease has run out.
"""

log = logging.get("dispatch")


class Dispatch:
    """Receives on the consumer's thread, works on the threads of the pool and of the errands."""

    def __init__(
        self, inbox: Inbox, advancer: Advancer, publisher: Publisher, commands: Commands, lifecycle: Lifecycle
    ) -> None:
        self._inbox = inbox
        self._advancer = advancer
        self._publisher = publisher
        self._commands = commands
        self._lifecycle = lifecycle
        self._errands = ThreadPoolExecutor(max_workers=1, thread_name_prefix="errands")

    def receive(self, delivery: Delivery) -> None:
        """Take a delivery; quick, and never raises: whatever takes time is an errand."""
        if delivery.queue == topology.REQUESTS:
            self._receive_request(delivery)
        elif delivery.queue == topology.COMMANDS:
            self._run_errand(delivery, lambda: self._commands.take(delivery))
        else:
            self._run_errand(delivery, lambda: self._lifecycle.take_note(decode_lifecycle(delivery.body)))

    def work(self) -> None:
        """Advance streams until the inbox is closed; the body of each thread of the pool."""
        while (taken := self._inbox.take()) is not None:
            key, waiting = taken
            try:
                self._advance(key, waiting)
            except Exception:
                # Unsettled, it comes again with the next connection; the thread must outlive any defect.
                log.exception("turn_unsettled", tenant=key.tenant_id, stream=key.stream)
            finally:
                self._inbox.done(key)

    def close(self) -> None:
        self._errands.shutdown(wait=True, cancel_futures=True)

    def _receive_request(self, delivery: Delivery) -> None:
        try:
            request = decode_request(delivery.body)
        except MessageUnreadableError as error:
            self._errands.submit(self._put_aside, delivery, "unreadable", str(error))
            return
        if delivery.count >= WORN_COUNT:
            self._errands.submit(self._publish_anew, [Waiting(request, delivery)])
            return
        self._inbox.put(Waiting(request, delivery))
        if pile := self._inbox.take_pile(StreamKey(request.tenant_id, request.stream)):
            self._errands.submit(self._publish_anew, pile)

    def _advance(self, key: StreamKey, waiting: Sequence[Waiting]) -> None:
        requests = [one.request for one in waiting]
        outcome = "ok"
        metrics.count_waits(requests, utc_now())
        try:
            with metrics.TURN_SECONDS.labels(key.stream).time():
                self._advancer.advance(key, requests)
        except Exception as error:  # noqa: BLE001 - the loop's boundary: whatever it is, the loop goes on
            outcome = type(error).__name__
            if not self._react(key, waiting, error):
                return
        finally:
            metrics.TURNS.labels(key.stream, outcome).inc()
        for one in waiting:
            one.delivery.ack()

    def _react(self, key: StreamKey, waiting: Sequence[Waiting], error: Exception) -> bool:
        """Do what the error demands; tell whether the deliveries can be settled now."""
        request = merged([one.request for one in waiting])
        verdict = verdict_on(error, request.attempt)
        level = log.exception if verdict.reaction is Reaction.REJECT else log.warning
        level(
            "turn_failed",
            tenant=key.tenant_id,
            stream=key.stream,
            error=f"{type(error).__name__}: {error}" if isinstance(error, EntraSmsError) else type(error).__name__,
            reaction=verdict.reaction.name.lower(),
            retry_seconds=round(verdict.delay_seconds, 1),
        )
        try:
            if verdict.reaction is Reaction.RETRY:
                again = request if isinstance(error, RetryLaterError) and error.delay_seconds else request.again()
                message = outgoing.request(again, delay_seconds=max(verdict.delay_seconds, 0.1))
                self._publisher.publish(message, timeout_seconds=PUBLISH_SECONDS)
            elif verdict.reaction is Reaction.GIVE_UP:
                self._advancer.give_up(key, error if isinstance(error, EntraSmsError) else EntraSmsError(str(error)))
            elif verdict.reaction is Reaction.REJECT:
                defect = f"A defect of the worker ({type(error).__name__}): its log tells more."
                self._advancer.give_up(key, EntraSmsError(defect))
                self._publish_dead([one.delivery for one in waiting], "defect", type(error).__name__)
        except RetryLaterError:
            self._put_back(waiting)
            return False
        return True

    def _put_back(self, waiting: Sequence[Waiting]) -> None:
        """Neither done nor passed on: keep the deliveries and try again soon."""
        for one in waiting:
            self._inbox.put(one, delay_seconds=REPUT_SECONDS)

    def _run_errand(self, delivery: Delivery, errand: Callable[[], None]) -> None:
        self._errands.submit(self._do_errand, delivery, errand)

    def _do_errand(self, delivery: Delivery, errand: Callable[[], None]) -> None:
        try:
            errand()
        except MessageUnreadableError as error:
            self._put_aside(delivery, "unreadable", str(error))
            return
        except RetryLaterError as error:
            log.warning("errand_put_off", queue=delivery.queue, error=str(error))
            self._repeat_later(self._do_errand, delivery, errand)
            return
        except Exception as error:
            log.exception("errand_failed", queue=delivery.queue)
            self._put_aside(delivery, "defect", type(error).__name__)
            return
        delivery.ack()

    def _put_aside(self, delivery: Delivery, reason: str, error: str) -> None:
        """Make a dead letter of a delivery, once there is a broker to take it."""
        try:
            self._publish_dead([delivery], reason, error)
        except BrokerUnavailableError:
            self._repeat_later(self._put_aside, delivery, reason, error)
            return
        delivery.ack()

    def _repeat_later(self, errand: Callable[..., None], *arguments: object) -> None:
        self._inbox.closed.wait(REPUT_SECONDS)
        try:
            self._errands.submit(errand, *arguments)
        except RuntimeError:
            return  # closing: the delivery goes back to the broker

    def _publish_anew(self, waiting: Sequence[Waiting]) -> None:
        """Let one fresh message stand for deliveries of a stream; when that cannot be, the old ones have to do."""
        request = merged([one.request for one in waiting])
        try:
            self._publisher.publish(outgoing.request(request), timeout_seconds=PUBLISH_SECONDS)
        except BrokerUnavailableError:
            for one in waiting:
                self._inbox.put(one)
            return
        for one in waiting:
            one.delivery.ack()

    def _publish_dead(self, deliveries: Sequence[Delivery], reason: str, error: str) -> None:
        self._publisher.publish_all(
            [
                outgoing.dead_letter(
                    one.body,
                    queue=one.queue,
                    message_type=one.type,
                    reason=reason,
                    error=error,
                    message_id=one.message_id,
                    replays=one.replays,
                )
                for one in deliveries
            ],
            timeout_seconds=PUBLISH_SECONDS,
        )
        metrics.DEAD_LETTERS.labels(reason).inc(len(deliveries))
        log.warning("dead_letter", reason=reason, error=error, count=len(deliveries))


def merged(requests: Sequence[SyncRequest]) -> SyncRequest:
    """Return one request that asks for all that `requests`, of one stream, ask for; to be made in their place.

    The most patient attempt count is kept, so that fresh notifications do not hide how long it has been failing; the
    least advanced follow-up, so that no object is asked for less often than it should be.
    """
    full = [request for request in requests if request.mode is Mode.FULL]
    ids = sorted({one for request in requests for one in request.object_ids})
    first = full[0] if full else requests[0]
    return replace(
        first,
        mode=Mode.FULL if full else Mode.INCREMENTAL,
        reason=Reason.OPERATOR if any(r.reason is Reason.OPERATOR for r in requests) else first.reason,
        requested_at=max(request.requested_at for request in full or requests),
        object_ids=tuple(ids[:OBJECT_IDS_LIMIT]),
        follow_up=min(request.follow_up for request in requests),
        attempt=max(request.attempt for request in requests),
    )
