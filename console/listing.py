"""What all lists have in common: a limit, and a word about what was left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from console import output

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 10_000


def limit_option(command: Command) -> Command:
    """Add ``--limit`` to a command."""
    return click.option(
        "--limit",
        type=click.IntRange(1, LARGEST_LIMIT),
        default=DEFAULT_LIMIT,
        show_default=True,
        metavar="COUNT",
        help="How many to show.",
    )(command)


def say_that_there_is_more(shown: int, total: int, things: str, export: str) -> None:
    if shown < total:
        part = f"{output.number(shown)} of {output.number(total)}"
        output.note(f"These are {part} {things}. More: --limit; all: {export}")
