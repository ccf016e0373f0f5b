"""How dead letters are spoken of: what failed, why, and what a replay would do."""

from __future__ import annotations

from common import topology
from common.broker.dead_letter import DELIVERY_LIMIT, REPLAYS_LIMIT, DeadLetter, Giver
from common.commands import Command, Verb
from common.errors import MessageUnreadableError
from common.messages import LifecycleEvent, LifecycleNotice, Mode, SyncRequest
from console.output import plural, shown

GIVERS = {
    Giver.WORKER: "the worker",
    Giver.RABBITMQ: "RabbitMQ",
    Giver.SOMEBODY: "somebody, by hand",
}
REASONS = {
    "unreadable": "cannot be carried out",
    "defect": "a defect of the worker",
    DELIVERY_LIMIT: f"came back more than {topology.DELIVERY_LIMIT} times without being done",
    "expired": "waited for too long",
    "rejected": "was rejected",
    "maxlen": "the queue was full",
}
TASKS = {
    Verb.FULL_RESYNC: "reads everything anew",
    Verb.SYNC_NOW: "reads what has changed",
    Verb.RESYNC_OBJECT: "reads one person or group",
    Verb.RENEW_SUBSCRIPTIONS: "renews the subscriptions",
    Verb.CHECK_ACCESS: "checks the access",
    Verb.PAUSE: "stops reading",
    Verb.RESUME: "goes on reading",
    Verb.REPLAY_DEAD_LETTERS: "replays dead letters",
    Verb.APPROVE_REMOVALS: "removes those who are held, if the hold is still open",
    Verb.REJECT_REMOVALS: "removes none of those who are held and reads everything anew, if the hold is still open",
}
EVENTS = {
    LifecycleEvent.REAUTHORIZATION_REQUIRED: "renews the subscription",
    LifecycleEvent.SUBSCRIPTION_REMOVED: "makes a new subscription and reads everything anew",
    LifecycleEvent.MISSED: "reads everything anew",
}


def what(letter: DeadLetter) -> str:
    """Return what failed in a word, e.g. ``full_resync`` or ``users``; "" for what nobody can read."""
    message = letter.message
    if isinstance(message, SyncRequest):
        return str(message.stream)
    if isinstance(message, LifecycleNotice):
        return str(message.event)
    return str(message.verb) if message is not None else letter.type


def why(letter: DeadLetter) -> str:
    """Return why it failed, in as many words as a line has room for."""
    if letter.giver is Giver.SOMEBODY:
        return f"put there by {GIVERS[letter.giver]}"
    words = REASONS.get(letter.reason, letter.reason)
    if letter.reason == "unreadable":
        return letter.error or words
    return f"{words}: {letter.error}" if letter.error else words


def origin(letter: DeadLetter) -> str:
    """Return the queue it came from, without what is common to all."""
    return letter.origin.removeprefix("sync.")


def name_and_kind(letter: DeadLetter, name: str) -> str:
    """Return a letter as it is spoken of in a line, e.g. ``4f0a6a7e: full_resync (sync.commands)``."""
    kind = what(letter)
    return f"{name}{f': {shown(kind)}' if kind else ''}{f' ({shown(letter.origin)})' if letter.origin else ''}"


def refusal(letter: DeadLetter, *, force: bool) -> str | None:
    """Return why it is not replayed, or None if it is."""
    try:
        letter.decoded()
    except MessageUnreadableError as error:
        return f"It can never be carried out: {error}"
    if letter.replays >= REPLAYS_LIMIT and not force:
        return (
            f"It was replayed {plural(letter.replays, 'time')} and failed again each time; --force replays it anyway."
        )
    return None


def replay(letter: DeadLetter) -> str:
    """Return what a replay would do."""
    refused = refusal(letter, force=False)
    message = letter.message
    if refused is not None or message is None:
        return refused or ""
    sentence = f"It goes back to {letter.origin}, and a worker {task(message)}."
    if letter.reason == "unreadable":
        sentence += " It fails again unless what was wrong has been mended."
    elif letter.reason == "defect":
        sentence += " It may meet the same defect again."
    return sentence


def task(message: SyncRequest | LifecycleNotice | Command) -> str:
    """Return what a worker does with a message, e.g. ``reads what has changed: users of tenant 6c2d...``."""
    if isinstance(message, SyncRequest):
        deed = TASKS[Verb.FULL_RESYNC if message.mode is Mode.FULL else Verb.SYNC_NOW]
        return f"{deed}: {message.stream} of tenant {message.tenant_id}"
    if isinstance(message, LifecycleNotice):
        return f"{EVENTS[message.event]}: {message.stream} of tenant {message.tenant_id}"
    whose = "all tenants" if message.tenant == "*" else f"tenant {message.tenant}"
    about = _about(message)
    return f"{TASKS[message.verb]}: {f'{about} of ' if about else ''}{whose}"


def _about(command: Command) -> str:
    """Return what of a tenant a command is about; "" for all of it."""
    if command.hold_id:
        return f"hold {command.hold_id}"
    if command.object_id:
        return command.object_id
    reads = command.verb in (Verb.FULL_RESYNC, Verb.SYNC_NOW)
    return str(command.stream or "users and groups") if reads else ""
