"""`entra-sms command`: put any command on the queue, as RabbitMQ's management pages can, and show its answer."""

from __future__ import annotations

from uuid import uuid4

import click

from common.broker import outgoing
from common.commands import EXAMPLES, CommandRefusedError, Verb, decode_command
from console import asked, output
from console.answers import see_answered
from console.connection import Installation
from console.exits import Exit
from console.waiting import wait_options


@click.command("command", short_help="Put a command on the queue, and show its answer.")
@click.argument("verb", type=click.Choice([str(verb) for verb in Verb]), metavar="COMMAND")
@click.option("--tenant", required=True, metavar="TENANT", help="Its name, domain or id; '*' for all.")
@click.option("--stream", metavar="STREAM", help="users or groups; both unless given.")
@click.option("--object", metavar="GUID", help="Object id of a person or a group.")
@click.option("--hold", type=int, metavar="NUMBER", help="Number of a hold.")
@click.option("--up-to", type=int, metavar="NUMBER", help="Number of the last held removal that you were shown.")
@click.option("--reason", metavar="TEXT", help="Why; it is shown with the state of the tenant.")
@wait_options
@click.pass_obj
def command(
    installation: Installation, /, *, verb: str, wait: bool, timeout_seconds: float | None, **given: str | int | None
) -> Exit:
    """Put a command on the queue, the same as typed into RabbitMQ's management pages.

    For programs and for what has no command of its own. The worker carries it out; with --wait its answer is shown,
    and the exit code is 0 if it was done. The answers of all are in: entra-sms results

    \b
    COMMAND is one of:
      full_resync            read everything            --stream
      sync_now               read what has changed      --stream
      resync_object          read one person or group   --object, --stream
      renew_subscriptions    renew them at Graph
      check_access           try the sign-in and each permission
      pause, resume          stop and go on reading     --reason
      approve_removals       remove who is held         --hold, --up-to
      reject_removals        remove nobody              --hold
      replay_dead_letters    try again what failed

    Example: entra-sms command renew_subscriptions --tenant '*' --wait
    """  # noqa: D301 - the backspace tells click to keep the lines as they are
    fields = {name: value for name, value in given.items() if value is not None}
    message = outgoing.command(Verb(verb), {**fields, **asked.by()}, message_id=str(uuid4()))
    try:
        decode_command(message.body, message.message_id)
    except CommandRefusedError as error:
        may_have = ", ".join(f"--{name.replace('_', '-')}" for name in EXAMPLES[Verb(verb)])
        raise click.UsageError(f"{error} The options of {verb} are: {may_have}.") from None
    if wait:
        installation.database  # noqa: B018 - where the answer will be; better missed before than after
    installation.publish(message)
    if not wait:
        output.say(f"Queued {verb}. Its answer will be in: entra-sms results")
        return Exit.OK
    return see_answered(installation, message.message_id, timeout_seconds)
