"""The command itself: its help, its subcommands, and how every command ends.

A subcommand's module is loaded when it is called, so that `--help` and completion answer at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import click

from common import __version__
from common.errors import EntraSmsError
from console import output
from console.exits import Exit, code_of

SUBCOMMANDS = {
    "tenants": "Add, check, list, show, pause and remove the directories to be synced.",
    "sync": "Bring the address book up to date now.",
    "status": "Show whether everything works, on one screen.",
    "watch": "Show the same live, until you have seen enough.",
    "check": "Find out whether this installation can work, and what to mend.",
    "results": "Show what came of commands and full syncs.",
    "dead-letters": "Look at messages that could not be done, and replay or drop them.",
    "holds": "Look at removals that were too many, and approve or reject them.",
    "explain": "Tell why a person has this number or none, or is not in the address book.",
    "command": "Put a command on the queue, as RabbitMQ's pages can.",
    "changes": "Show every change of the address book, and follow them.",
    "snapshot": "Put the whole address book on the queue of a program that begins to follow.",
    "recipients": "Write the numbers that a message to groups goes to.",
    "reports": "Show whose number is missing, invalid, shared or not a mobile one.",
    "contacts": "List, show and export the people in the address book.",
    "groups": "List, show and export the groups and their members.",
    "serve": "Serve the address book over HTTP, for programs that read it.",
    "keys": "Make, list and revoke the keys that the HTTP API is read with.",
}
"""Name -> what the overview says of it, in order. Its module `console.<name>`, with _ for -, has `command`."""


class Overview(click.Group):
    """The outermost command: loads a subcommand when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is the library's
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - see above
        if cmd_name not in SUBCOMMANDS:
            return None
        command: click.Command = import_module(f"console.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or name the one that was probably meant."""
        if args and args[0] not in SUBCOMMANDS and not args[0].startswith("-"):
            match = get_close_matches(args[0], SUBCOMMANDS, n=1)
            offer = f"Did you mean {match[0]!r}?" if match else f"There are: {', '.join(SUBCOMMANDS)}."
            raise click.UsageError(f"No such command {args[0]!r}. {offer}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - see above
        with formatter.section("Commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand and see its output out; a reader that has gone away is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _silence_stdout()
            return Exit.PIPE_CLOSED
        return result


@click.group(
    cls=Overview,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command explains itself: entra-sms sync --help",
)
@click.version_option(__version__, prog_name="entra-sms", message="%(prog)s %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Print log lines to stderr as well.")
@click.pass_context
def entra_sms(ctx: click.Context, verbose: bool) -> None:
    """Keep an SMS address book equal to a Microsoft Entra directory.

    People, phone numbers, groups and memberships follow the directory by themselves, within seconds. This command is
    for whoever runs the system: it connects directories, starts syncs and shows what the address book holds.

    \b
    The first three to type:
      entra-sms tenants add             connect a directory; asks for everything it needs
      entra-sms sync --full --wait      read all of it now, with a progress bar
      entra-sms contacts list           the people and their numbers

    Settings come from environment variables ENTRA_SMS_..., the same as for the worker and the webhook. At least
    ENTRA_SMS_SECRET_KEY (or ENTRA_SMS_SECRET_KEY_FILE), ENTRA_SMS_DATABASE_URL and ENTRA_SMS_AMQP_URL should be set;
    docs/settings.md lists them all.
    """  # noqa: D301 - the backspace tells click to keep the lines as they are
    from console.connection import Installation  # noqa: PLC0415 - loads the database's and Graph's libraries

    installation = Installation(verbose=verbose)
    ctx.obj = installation
    ctx.call_on_close(installation.close)


def main() -> NoReturn:
    """Run the command that was typed, and exit."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the command with `arguments` and return its exit code; errors have been told on stderr."""
    output.tolerate_narrow_encodings()
    try:
        return int(entra_sms.main(list(arguments), prog_name="entra-sms", standalone_mode=False) or Exit.OK)
    except click.UsageError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        output.complain(error.format_message())
        return Exit.USAGE
    except click.Abort:
        output.note("Stopped.")
        return Exit.INTERRUPTED
    except EntraSmsError as error:
        output.complain(str(error))
        return code_of(error)


def _silence_stdout() -> None:
    """Let what is still buffered go nowhere, or Python would complain about the closed pipe at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
