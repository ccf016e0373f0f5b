"""`entra-sms watch`: the same as `status`, live, until the person has seen enough."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.control import Control
from rich.live import Live

from console import output, watch_screen
from console.choice import tenant_option
from console.connection import Installation
from console.exits import ConsoleError, Exit
from console.keyboard import Keyboard
from console.watch_picture import Watch

DRAW_SECONDS = 0.5
ENDS = frozenset("qQ\x04")
"""q, or Ctrl-D."""


@click.command("watch")
@tenant_option
@click.pass_obj
def command(installation: Installation, /, *, tenant: str | None) -> None:
    """Look on, live: the tenants, what is wrong, full syncs under way, the latest rounds, the queues.

    It is read anew every two seconds, people and groups are counted more seldom. When the database or RabbitMQ is away,
    that is shown, and it goes on when they are back. q or Ctrl-C ends it.

    Example: entra-sms watch --tenant Contoso
    """
    console = output.stdout()
    if not (sys.stdin.isatty() and console.is_terminal) or console.is_dumb_terminal:
        raise ConsoleError("To watch takes a terminal. For programs there is: entra-sms status --json", Exit.USAGE)
    watch = Watch(installation, tenant)
    watch.start()
    try:
        with Keyboard() as keyboard, _full_screen(console) as live:
            _show(watch, live, keyboard)
    except (KeyboardInterrupt, EOFError):
        return
    finally:
        watch.stop()


def _show(watch: Watch, live: Live, keyboard: Keyboard) -> None:
    while True:
        width, height = live.console.size
        seen = watch.database(), watch.broker()
        live.update(watch_screen.screen(*seen, width=width, height=height), refresh=True)
        if ENDS.intersection(keyboard.pressed(DRAW_SECONDS)):
            return


@contextmanager
def _full_screen(console: Console) -> Iterator[Live]:
    """Draw on the other screen of the terminal: afterwards everything that was there before is there again."""
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        try:
            yield live
        finally:
            # A terminal whose size has changed meanwhile may move what is left on one screen to the other.
            console.control(Control.clear(), Control.home())
