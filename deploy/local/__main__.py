"""`python -m deploy.local`: a private broker or database to keep at hand, for a person."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from deploy.local import broker, packages, postgres, runs
from deploy.local.errors import LocalServiceError
from deploy.local.paths import VAR
from deploy.local.runs import Run, say

Service = TypeVar("Service")

_purpose = click.option(
    "--purpose",
    default="test",
    show_default=True,
    help="Whose service it is: it lives in var/PURPOSE, and a run of that purpose takes it over.",
)


class _Group(click.Group):
    """A group whose errors are one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LocalServiceError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group)
def main() -> None:
    """Local services of this clone. All they have lives under var/, on loopback, at ports of their own.

    \b
    make demo, make smoke and make test start and stop what they need by themselves.
    A service that is kept up saves them the start, and lets you look inside:

    \b
      python -m deploy.local broker up        a RabbitMQ that `make test` then uses
      python -m deploy.local broker status    its addresses and its login
      python -m deploy.local broker down
    """  # noqa: D301 (click reads the backspace character itself as "keep these lines")


@main.command()
@click.argument("names", nargs=-1, type=click.Choice([p.name for p in packages.SERVICES]), metavar="[PACKAGE]...")
def prepare(names: tuple[str, ...]) -> None:
    """Install what is missing: rabbitmq-server and postgresql, or the PACKAGEs named (also: chromium)."""
    given = {packages.RABBITMQ.name} if os.environ.get(broker.URL_VARIABLE) else set()
    wanted = set(names) or {packages.RABBITMQ.name, packages.POSTGRESQL.name} - given
    for package in packages.SERVICES:
        if package.name in wanted:
            packages.ensure(package)


@main.group("broker")
def broker_commands() -> None:
    """A private RabbitMQ node with its management pages."""


@broker_commands.command("up")
@_purpose
def broker_up(purpose: str) -> None:
    """Start a node that stays until `down`; its data survives."""
    with Run.claim(purpose) as run:
        _show_broker(broker.start(run, kept=True))


@broker_commands.command("down")
@_purpose
def broker_down(purpose: str) -> None:
    """Stop the node that `up` started."""
    _down(purpose, "rabbitmq", "epmd")


@broker_commands.command("status")
@_purpose
def broker_status(purpose: str) -> None:
    """Show where the node listens and who may log in; exit status 1 when none is up."""
    _show_broker(_found(broker.find, purpose, "broker"))


@main.group("postgres")
def postgres_commands() -> None:
    """A private PostgreSQL cluster."""


@postgres_commands.command("up")
@_purpose
def postgres_up(purpose: str) -> None:
    """Start a cluster that stays until `down`; its data survives."""
    with Run.claim(purpose) as run:
        _show_cluster(postgres.start(run, kept=True))


@postgres_commands.command("down")
@_purpose
def postgres_down(purpose: str) -> None:
    """Stop the cluster that `up` started."""
    _down(purpose, "postgres")


@postgres_commands.command("status")
@_purpose
def postgres_status(purpose: str) -> None:
    """Show where the cluster listens; exit status 1 when none is up."""
    _show_cluster(_found(postgres.find, purpose, "postgres"))


def _down(purpose: str, *names: str) -> None:
    with Run.claim(purpose) as run:
        ended = runs.end_processes(run.directory, *names)
    say(f"Stopped {', '.join(ended)}." if ended else "Nothing was up.")


def _found(find: Callable[[Path], Service | None], purpose: str, command: str) -> Service:
    service = find(VAR / purpose)
    if service is None:
        raise LocalServiceError(
            f"None is up for {purpose}; start one: python -m deploy.local {command} up --purpose {purpose}"
        )
    return service


def _show_broker(found: broker.Broker) -> None:
    click.echo(f"export {broker.URL_VARIABLE}={shlex.quote(found.amqp_url)}")
    click.echo(f"Management pages: {found.management_url} (user {found.user}, password {found.password})")


def _show_cluster(found: postgres.Cluster) -> None:
    click.echo(f"export ENTRA_SMS_DATABASE_URL={shlex.quote(found.url_of('postgres'))}")


if __name__ == "__main__":
    main(prog_name="python -m deploy.local")
