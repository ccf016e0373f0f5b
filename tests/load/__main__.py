"""`make load`: the webhook under load, among strangers, with a broker that comes and goes; and the proof.

The last line is one JSON object; exit status 1 unless everything holds. See `tests.load.proof` for what that is.
"""

from __future__ import annotations

import json
import os
import sys

import click

from deploy.local import broker
from deploy.local.errors import LocalServiceError
from deploy.local.runs import Run, exit_on_signals
from tests.load.proof import as_json, failures
from tests.load.rehearsal import Plan, rehearse
from tests.support.broker import vhost_for


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(8), help="Length of the run.")
@click.option("--rate", default=1_000.0, show_default=True, type=click.FloatRange(1), help="Honest posts a second.")
@click.option("--connections", default=32, show_default=True, type=click.IntRange(1), help="That these come over.")
@click.option("--slow-clients", default=48, show_default=True, type=click.IntRange(4), help="At once.")
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1), help="Of the webhook.")
@click.option("--threads", default=16, show_default=True, type=click.IntRange(1), help="Of each of them.")
def main(seconds: float, rate: float, connections: int, slow_clients: int, processes: int, threads: int) -> None:
    """Post at a rate, among strangers, while the broker is slowed, stalled, cut and restored."""
    exit_on_signals()
    plan = Plan(seconds, rate, connections, slow_clients, processes, threads)
    try:
        with Run.claim("load", several=True) as run:
            node = broker.start(run, fresh=True)
            _forget_the_shell()
            with vhost_for(node, "load") as vhost:
                click.echo(f"Posting {rate:g} times a second for {seconds:g} s ...")
                seen, fired = rehearse(run, vhost.url, plan)
    except LocalServiceError as error:
        raise click.ClickException(str(error)) from error
    found = failures(seen, timed=True)
    for sentence in found:
        click.echo(sentence)
    click.echo(json.dumps({"holds": not found, **as_json(seen, rate=rate, fired=fired)}))
    sys.exit(1 if found else 0)


def _forget_the_shell() -> None:
    """Take away what would reach into the processes: settings of ours, proxies."""
    for name in list(os.environ):
        if name.startswith("ENTRA_SMS_") or name.lower().endswith("_proxy"):
            del os.environ[name]


if __name__ == "__main__":
    main()
