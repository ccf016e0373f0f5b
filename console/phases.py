"""What a look at the database means for a stream that was asked for: how far it is, what hinders it, why it failed."""

from __future__ import annotations

import shlex
from datetime import datetime

from common.db.tenants import TenantState
from console import times
from console.asked import Asked
from console.exits import ConsoleError, Exit
from console.output import number, plural
from console.progress import Meter
from console.reads.advance import Advance, Answer, Look


def meter(asked: Asked, look: Look, total: int | None) -> Meter:
    """Return the line that shows how far `asked` is."""
    answer, advance = asked.answer(look), asked.advance(look)
    if answer is not None:
        return Meter(asked.title, _result(answer), has_ended=True)
    if advance is None or advance.full_began_at is None:
        detail = "queued" if advance is None or advance.full_wanted_at is None else "queued, waits for its turn"
        return Meter(asked.title, detail + _throttled(asked, look))
    if total is not None and advance.full_objects > total:
        total = None
    detail = _reading(advance, asked, look.now, total) + _throttled(asked, look)
    return Meter(asked.title, detail, done=advance.full_objects, total=total)


def _result(answer: Answer) -> str:
    """Return in words what a round did."""
    if not answer.is_good:
        return "failed"
    took = times.span((answer.ended_at - answer.began_at).total_seconds())
    parts = ((answer.added, "added"), (answer.changed, "changed"), (answer.removed, "removed"))
    done = ", ".join(f"{number(count)} {what}" for count, what in parts if count) or "nothing had changed"
    # Not "people": Graph also lists those who left, and an object more than once. An approval reads nothing.
    read = f" ({plural(answer.objects, 'entry', 'entries')} read)" if answer.objects else ""
    return f"complete in {took}: {done}{read}"


def failure(asked: Asked, look: Look, *, asked_at: datetime, is_still: bool) -> ConsoleError | None:
    """Return why `asked` will not be answered well, or None while it may be.

    Access that had failed before gets some time: the command makes the worker try again.
    """
    answer, pause = asked.answer(look), look.pauses.get(asked.tenant_id)
    if answer is not None and answer.is_good:
        return None
    if pause is None:
        return ConsoleError(f"{asked.tenant_name} was removed meanwhile.")
    if pause.state is TenantState.PAUSED and answer is None:
        return paused(asked.tenant_name, pause.since)
    if pause.state is TenantState.ACCESS_FAILED and (pause.since >= asked_at or is_still or answer is not None):
        return ConsoleError(
            f"{asked.tenant_name} cannot be read: {pause.reason or 'its access failed.'} "
            f"When it is mended: entra-sms tenants check {shlex.quote(asked.tenant_name)}",
            Exit.ACCESS_REFUSED,
        )
    if answer is not None:
        return ConsoleError(f"{asked.title}: the sync failed. {answer.error or 'The worker log tells more.'}")
    return None


def paused(tenant_name: str, since: datetime) -> ConsoleError:
    """Return that nothing comes of waiting for a paused tenant."""
    return ConsoleError(
        f"{tenant_name} is paused since {times.moment(since)}: nothing of it is read. "
        f"To go on: entra-sms tenants resume {shlex.quote(tenant_name)}"
    )


def last_trouble(asked: Asked, look: Look) -> str | None:
    """Return what went wrong in the tries so far; the worker goes on trying."""
    advance = asked.advance(look)
    if asked.answer(look) is not None or advance is None or not advance.failures or not advance.last_error:
        return None
    return (
        f"{asked.title}: {plural(advance.failures, 'try', 'tries')} failed, the next one follows. {advance.last_error}"
    )


def stillness(seconds: float, workers: int | None) -> str:
    """Return what may be the matter when nothing has moved for `seconds`."""
    said = f"Nothing has moved for {seconds:.0f} s"
    start = "Start one with: python -m worker"
    if workers is None:
        return f"{said}, and RabbitMQ cannot be reached any more. It goes on when that is back and a worker runs."
    if workers == 0:
        return f"{said}: no worker seems to run, since nobody listens on the queue. {start}"
    listening = "1 worker listens" if workers == 1 else f"{number(workers)} workers listen"
    return f"{said}, though {listening}. The worker's log tells what is going on."


def _reading(advance: Advance, asked: Asked, now: datetime, total: int | None) -> str:
    began = advance.full_began_at or now
    elapsed = (now - began).total_seconds()
    rate = f", {number(round(advance.full_objects / elapsed))}/s" if elapsed >= 1 and advance.full_objects else ""
    of = f" of about {number(total)}" if total else ""
    mine = "" if asked.request_id in advance.full_request_ids else "an earlier full sync: "
    return f"{mine}{number(advance.full_objects)}{of} {asked.things}{rate}, {plural(advance.full_pages, 'page')}"


def _throttled(asked: Asked, look: Look) -> str:
    pause = look.pauses.get(asked.tenant_id)
    if pause is None or pause.throttled_until is None or pause.throttled_until <= look.now:
        return ""
    return f"; Graph asks for a pause, on again {times.until(pause.throttled_until, look.now)}"
