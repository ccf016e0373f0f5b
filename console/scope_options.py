"""The options that say who belongs in the address book."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from common.scope import EXAMPLE, MOST_GROUPS, Scope, ScopeError, read_condition

Command = TypeVar("Command", bound=Callable[..., Any])


def where_option(name: str) -> Callable[[Command], Command]:
    """Add an option with a condition to a command."""

    def add(command: Command) -> Command:
        help_text = f"Only people with these attributes, e.g. {EXAMPLE}"
        return click.option(name, metavar="CONDITION", help=help_text)(command)

    return add


def read_scope(group_ids: Sequence[str], condition: str | None) -> Scope | None:
    """Return the scope that was given, or None if nothing was.

    Raises:
        click.UsageError: the condition cannot be read, or there are too many groups.
    """
    if not group_ids and condition is None:
        return None
    if len(group_ids) > MOST_GROUPS:
        raise click.UsageError(f"A scope has at most {MOST_GROUPS} groups. Make a group of groups in the directory.")
    try:
        node = None if condition is None else read_condition(condition)
    except ScopeError as error:
        raise click.UsageError(str(error)) from None
    return Scope(tuple(sorted(set(group_ids))), node)
