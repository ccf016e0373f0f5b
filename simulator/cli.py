"""The command line of the simulator."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import click

from simulator.announcement import announce
from simulator.app import create_app
from simulator.certificates import ensure_authority
from simulator.clock import Clock
from simulator.faults import Faults
from simulator.server import Server
from simulator.world import Plan, World

log = logging.getLogger("simulator")

_DEFAULT_DIRECTORY = Path("var/simulator")
_state_directory = click.option(
    "--state-directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=_DEFAULT_DIRECTORY,
    show_default=True,
    help="Where ca.pem, the certificates and simulator.json are written.",
)


class Settings(click.ParamType[dict[str, Any]]):
    """`NAME=VALUE` with a JSON value, for `--knob`."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        name, separator, text = str(value).partition("=")
        if not separator:
            self.fail("write NAME=VALUE", param, ctx)
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = text
        try:
            Faults({name: parsed})
        except ValueError as problem:
            self.fail(str(problem), param, ctx)
        return {name: parsed}


@click.group(invoke_without_command=True)
@click.option("--users", type=click.IntRange(0, 1_000_000), default=1_000, show_default=True, help="Live users.")
@click.option("--groups", type=click.IntRange(0, 100_000), default=60, show_default=True, help="Live groups.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same company, ids and secrets.")
@click.option("--tenants", type=click.IntRange(1, 50), default=1, show_default=True, help="Tenants of that size each.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on. There is no login: stay on loopback."
)
@click.option(
    "--public-host", help="Name that others reach it by, for certificate and simulator.json. Default: --host."
)
@click.option("--port", type=click.IntRange(0, 65_535), default=8443, show_default=True, help="0 takes a free one.")
@click.option("--lively", type=float, default=0.0, metavar="RATE", help="Changes per second that happen by themselves.")
@click.option("--speed", type=float, default=1.0, show_default=True, help="Simulated seconds in a real second.")
@click.option("--knob", "knobs", type=Settings(), multiple=True, help="A fault or behaviour to start with; repeatable.")
@click.option(
    "--trust-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CAs that notification endpoints may have certificates of. Default: the simulator's own.",
)
@_state_directory
@click.pass_context
def main(context: click.Context, /, state_directory: Path, **options: Any) -> None:
    r"""A local Microsoft Entra login and Microsoft Graph, with an invented company inside.

    \b
    Start one with a thousand people, on which three things happen every second:
        python -m simulator --users 1000 --lively 3
    Then read var/simulator/simulator.json: it holds the address, the CA file to trust, and for each
    tenant the tenant id, client id and client secret to give to the product.
    \b
    Make somebody change a number, and look at what is true:
        curl --cacert var/simulator/ca.pem -X POST -d '{"count": 20, "seed": 7}' \
            https://127.0.0.1:8443/control/tenants/default/random-changes
        curl --cacert var/simulator/ca.pem https://127.0.0.1:8443/control/tenants/default/directory

    It stops on Ctrl-C. Nothing is kept between runs but the CA.
    """
    context.obj = state_directory
    if context.invoked_subcommand is None:
        _serve(state_directory, **options)


@main.command()
@_state_directory
@click.option("--name", required=True, help="Files are called NAME.pem and NAME.key.")
@click.option("--host", "hosts", multiple=True, help="Host name or address; repeatable. Loopback is always included.")
def certificate(state_directory: Path, name: str, hosts: tuple[str, ...]) -> None:
    """Issue a server certificate of the simulator's CA, for an endpoint that is to receive notifications."""
    if not name.replace("-", "").replace("_", "").isalnum() or name == "ca":
        raise click.BadParameter("letters, digits, - and _ only, and not 'ca'", param_hint="--name")
    authority = ensure_authority(state_directory)
    for path in authority.issue(state_directory, name, hosts):
        click.echo(path)


def _serve(
    directory: Path,
    *,
    host: str,
    public_host: str | None,
    port: int,
    speed: float,
    knobs: tuple[dict[str, Any], ...],
    trust_file: Path | None,
    **sizes: Any,
) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    settings = {name: value for knob in knobs for name, value in knob.items()}
    authority = ensure_authority(directory)
    certificate_file, key_file = authority.issue(directory, "simulator", [public_host or host])
    # Millions of long-lived objects are made now, and none of them is garbage.
    gc.disable()
    try:
        plan, clock = Plan(settings=settings, **sizes), Clock(speed)
        world = World(plan, clock, trust_file or authority.certificate_file)
        server = Server(create_app(world), host, port, certificate_file, key_file)
        server.start()
    except (ValueError, OSError) as problem:
        raise click.ClickException(str(problem)) from problem
    gc.freeze()
    gc.enable()
    world.start()
    origin = f"https://{public_host or host}:{server.port}"
    announce(directory, origin, authority.certificate_file, world)
    log.info("serving %s tenant(s) of %s users at %s", plan.tenants, plan.users, origin)
    _wait_for_signal()
    world.stop()
    server.stop()
    log.info("stopped")
    # Everything is said. Taking a large directory apart object by object, or waiting for posts to endpoints that do
    # not answer, would only keep the person waiting.
    logging.shutdown()
    os._exit(0)


def _wait_for_signal() -> None:
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()
