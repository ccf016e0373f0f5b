"""`python -m worker`: runs a worker until SIGTERM or Ctrl-C. Any number may run side by side."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click

from common import __version__, config, logging
from common.errors import EntraSmsError
from worker.bootstrap import Worker


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="entra-sms-sync worker")
def main() -> None:
    """Keep the address book equal to the directory.

    The worker takes sync requests from RabbitMQ, reads what changed from Microsoft Graph, writes it to the database,
    and renews the subscriptions. Any number of workers may run at once. It brings the database up to date when it
    starts, and ends cleanly on SIGTERM or Ctrl-C.

    Everything is set by the environment (ENTRA_SMS_DATABASE_URL, ENTRA_SMS_AMQP_URL, ENTRA_SMS_SECRET_KEY_FILE, ...);
    docs/settings.md describes each setting.
    """
    try:
        settings = config.load()
        logging.configure(settings, "worker")
        worker = Worker(settings)
        _stop_on_signals(worker)
        worker.run()
    except EntraSmsError as error:
        click.echo(str(error), err=True)
        sys.exit(1)


def _stop_on_signals(worker: Worker) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


if __name__ == "__main__":
    main()
