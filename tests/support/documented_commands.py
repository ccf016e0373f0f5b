"""Whether a command that a document shows exists, with its sub-commands and options; nothing is run.

Known are the programs of this project and what starts them: `entra-sms`, `python -m …`, `make …`, `gunicorn`,
`docker compose`, scripts of this tree. Of any other program nothing is said.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

ROOT = Path(__file__).parents[2]
_SEPARATORS = {"&&", "||", "|", ";", "&"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_CHECKED_TYPES: tuple[type[Any], ...] = (click.Choice, click.types.IntParamType, click.types.FloatParamType)
_COMPOSE_WITH_VALUE = {"-f", "--file", "--profile", "-p", "--project-name", "--env-file"}
_COMPOSE_VERBS = {"build", "config", "down", "exec", "logs", "ps", "pull", "restart", "run", "start", "stop", "up"}


def commands_in(line: str) -> Iterator[list[str]]:
    """Yield the simple commands of a line of shell, without assignments, redirections and comments."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in _SEPARATORS:
            plain = _without_redirections(words)
            while plain and (_ASSIGNMENT.match(plain[0]) or plain[0] in ("sudo", "exec", "$")):
                plain = plain[1:]
            if plain:
                yield plain
            words = []
        else:
            words.append(word)


def _without_redirections(words: Sequence[str]) -> list[str]:
    plain, skip = [], False
    for word in words:
        if skip or word in (">", ">>", "<"):
            skip = not skip
        else:
            plain.append(word)
    return plain


def trouble_with(command: Sequence[str]) -> str | None:
    """Return what is wrong with a command of this project, or None."""
    program, *arguments = command
    check = _CHECKS.get(Path(program).name)
    return check(arguments) if check else None


def _entra_sms(arguments: Sequence[str]) -> str | None:
    from console.cli import entra_sms

    return _trouble_with_click(entra_sms, arguments)


def _python(arguments: Sequence[str]) -> str | None:
    if arguments[:1] == ["-m"]:
        return _module(arguments[1], arguments[2:])
    if arguments and arguments[0].endswith(".py"):
        return _script(arguments)
    return None


def _module(name: str, arguments: Sequence[str]) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
        runnable = spec and (not spec.submodule_search_locations or importlib.util.find_spec(f"{name}.__main__"))
    except ImportError:
        runnable = None
    if not runnable:
        return f"there is no module {name} to run"
    if not (ROOT / name.partition(".")[0]).is_dir():
        return None  # somebody else's
    package = bool(spec and spec.submodule_search_locations)
    main = getattr(importlib.import_module(f"{name}.__main__" if package else name), "main", None)
    if isinstance(main, click.Command):
        return _trouble_with_click(main, arguments)
    return _entra_sms(arguments) if name == "console" else None


def _make(arguments: Sequence[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    variables = {"ARGS", "PYTHON", *re.findall(r"call (?:option|flag),([A-Z]+)", makefile)}
    for word in arguments:
        name = word.partition("=")[0]
        if name not in (variables if "=" in word else targets):
            return f"the Makefile has no {name}"
    return None


def _gunicorn(arguments: Sequence[str]) -> str | None:
    application = arguments[-1].partition(":")[0]
    if importlib.util.find_spec(application) is None:
        return f"there is no module {application}"
    return next((f"no file {word}" for word in arguments if word.endswith(".py") and not (ROOT / word).exists()), None)


def _script(arguments: Sequence[str]) -> str | None:
    path = arguments[0] if arguments else ""
    ours = not path.startswith(("-", "/", "~")) and path
    return f"there is no file {path}" if ours and not (ROOT / path).is_file() else None


def _docker(arguments: Sequence[str]) -> str | None:
    if arguments[:1] != ["compose"]:
        return None
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    words = list(arguments[1:])
    while words[:1] and words[0].startswith("-"):
        trouble = _trouble_with_compose_option(compose, *words[:2])
        if trouble:
            return trouble
        words = words[2:]
    if words[:1] in (["exec"], ["run"]):
        return _trouble_inside(compose, words[1:])
    return None if words and words[0] in _COMPOSE_VERBS else f"docker compose has no verb {words[:1]}"


def _trouble_with_compose_option(compose: dict[str, Any], option: str, value: str = "") -> str | None:
    if option not in _COMPOSE_WITH_VALUE:
        return f"docker compose has no {option} that we use"
    if option in ("-f", "--file") and not (ROOT / value).is_file():
        return f"there is no file {value}"
    profiles = {profile for service in compose["services"].values() for profile in service.get("profiles", [])}
    return f"docker-compose.yml has no profile {value}" if option == "--profile" and value not in profiles else None


def _trouble_inside(compose: dict[str, Any], words: list[str]) -> str | None:
    """Look at `exec` and `run`: the service, and the command in it."""
    while words[:1] and words[0].startswith("-"):
        words = words[1:]
    if not words or words[0] not in compose["services"]:
        return f"docker-compose.yml has no service {words[:1]}"
    return trouble_with(words[1:]) if words[1:] else None


def _trouble_with_click(command: click.Command, arguments: Sequence[str]) -> str | None:
    try:
        _resolve(command, list(arguments), None)
    except click.UsageError as error:
        return error.format_message()
    return None


def _resolve(command: click.Command, arguments: list[str], parent: click.Context | None) -> None:
    """Read the arguments as click would, down the tree of commands, and call nothing."""
    context = click.Context(command, parent=parent, info_name=command.name, **command.context_settings)
    values, rest, _ = command.make_parser(context).parse_args(arguments)
    for parameter in command.params:
        for value in _as_list(values.get(parameter.name or "")):
            if isinstance(parameter.type, _CHECKED_TYPES):
                parameter.type.convert(value, parameter, context)
    if not isinstance(command, click.Group):
        if rest:
            raise click.UsageError(f"Got an argument too many: {rest[0]}", context)
        return
    if rest:
        name, found, further = command.resolve_command(context, rest)
        if found is None:
            raise click.UsageError(f"No such command: {name}", context)
        _resolve(found, further, context)


def _as_list(value: object) -> list[str]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    return [each for each in values if isinstance(each, str)]


_CHECKS: dict[str, Callable[[Sequence[str]], str | None]] = {
    "entra-sms": _entra_sms,
    "python": _python,
    "python3": _python,
    "make": _make,
    "gunicorn": _gunicorn,
    "docker": _docker,
    "sh": _script,
    "bash": _script,
}
