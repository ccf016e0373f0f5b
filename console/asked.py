"""What a command on the queue asks for: streams that are advanced, each answered by a round."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

from common.broker import outgoing
from common.commands import LONGEST_TEXT, Verb
from common.messages import Stream
from console import output
from console.connection import Installation
from console.reads.advance import Advance, Answer, Look


def by() -> dict[str, str]:
    """Return the field of a command that says who asks: the name of the user on this machine, if it has one."""
    try:
        return {"by": getpass.getuser()[:LONGEST_TEXT]}
    except (KeyError, OSError):
        return {}


@dataclass(frozen=True)
class Asked:
    """A stream that was asked to be advanced by the command `request_id`."""

    tenant_id: str
    tenant_name: str
    stream: Stream
    request_id: str
    title: str

    def answer(self, look: Look) -> Answer | None:
        for answer in look.answers:
            if (
                answer.tenant_id == self.tenant_id
                and answer.stream is self.stream
                and self.request_id in answer.request_ids
            ):
                return answer
        return None

    def advance(self, look: Look) -> Advance | None:
        return look.advances.get((self.tenant_id, self.stream))

    @property
    def things(self) -> str:
        return "people" if self.stream is Stream.USERS else "groups"


def ask(
    installation: Installation,
    verb: Verb,
    fields: Mapping[str, str | int],
    *,
    tenant_id: str,
    tenant_name: str,
    answered_by: Sequence[Stream],
    with_name: bool = False,
) -> list[Asked]:
    """Publish the command, the same as typed into RabbitMQ's management UI; return the streams that answer it.

    Raises:
        BrokerUnavailableError: it is not known to have arrived.
    """
    request_id = str(uuid4())
    installation.publish(outgoing.command(verb, {"tenant": tenant_id, **fields, **by()}, message_id=request_id))
    name = output.shown(tenant_name)
    prefix = f"{name} " if with_name else ""
    return [Asked(tenant_id, name, one, request_id, title=f"{prefix}{one}") for one in answered_by]
