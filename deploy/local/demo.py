"""`make demo`: the whole system with a simulated company, and every change printed as it lands in the address book."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

import click

from deploy.local import broker
from deploy.local.broker import Broker
from deploy.local.comparison import book_of_database, book_of_directory, differences
from deploy.local.errors import LocalServiceError
from deploy.local.landings import Landings, percentile
from deploy.local.rabbitmq import OPERATOR, PROCESSES
from deploy.local.runs import Run
from deploy.local.system import System

LOOK_SECONDS = 0.02
SETTLE_SECONDS = 90.0
FOLLOW_UP_SECONDS = "1,5,15"
"""The simulator shows what it announces at once; a real tenant deserves the patience of the default."""


class _Ended(Exception):  # noqa: N818 - not an error: how the demo ends
    """The time is up, or somebody pressed Ctrl-C."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds; default: on Ctrl-C.")
@click.option("--users", default=1_000, show_default=True, type=click.IntRange(1, 200_000), help="People.")
@click.option("--groups", default=60, show_default=True, type=click.IntRange(0, 20_000), help="Groups.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 8), help="Worker processes.")
@click.option("--rate", default=3.0, show_default=True, type=click.FloatRange(0.1, 200), help="Changes per second.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same company and same events.")
@click.option("--faults", hidden=True, help="For make, which passes the same options to every verb.")
def main(seconds: float | None, users: int, groups: int, workers: int, rate: float, seed: int, faults: str) -> None:
    """Watch a company's directory changes arrive in the address book.

    Starts a private RabbitMQ, a simulated Microsoft Entra and Graph with a lively company, the webhook and a worker,
    and prints every change as it lands, with the time from the directory's change to the committed row.
    """
    if faults:
        raise click.ClickException("FAULTS is for make smoke.")
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    try:
        with Run.claim("demo", several=True) as run:
            try:
                sys.exit(_demo(run, seconds=seconds, company=(users, groups, seed), workers=workers, rate=rate))
            except _Ended:
                click.echo("\nStopping ...")
    except LocalServiceError as error:
        raise click.ClickException(str(error)) from error


def _demo(run: Run, *, seconds: float | None, company: tuple[int, int, int], workers: int, rate: float) -> int:
    node = broker.start(run, fresh=True)
    system = _start(run, node, company, workers)
    _introduce(system, node)
    landings = Landings(system.simulated(), system.database_url)
    landings.skip_past()
    system.simulated().call("PUT", "lively", {"changes_per_second": rate, "seed": company[2]})
    latencies: list[float] = []
    try:
        _watch(landings, latencies, seconds)
    except _Ended:
        click.echo("")
    finally:
        _let_nothing_interrupt()
        system.simulated().call("DELETE", "lively")
    return _conclude(system, landings, latencies)


def _start(run: Run, node: Broker, company: tuple[int, int, int], workers: int) -> System:
    for old in run.directory.glob("book.sqlite3*"):
        old.unlink()
    database_url = f"sqlite:///{run.directory / 'book.sqlite3'}"
    settings = {"ENTRA_SMS_FOLLOW_UP_SECONDS": FOLLOW_UP_SECONDS}
    system = System(run, node.account(PROCESSES).amqp_url, database_url, settings)
    users, groups, seed = company
    click.echo(
        f"Starting a simulated directory of {users:,} people and {groups:,} groups, the webhook and the worker ..."
    )
    system.start_simulator(users=users, groups=groups, seed=seed)
    system.start_webhook()
    for number in range(workers):
        system.start_worker(f"worker-{number + 1}")
    click.echo("Adding the tenant: entra-sms tenants add ...")
    system.add_tenant()
    click.echo("First sync: entra-sms sync --full --wait ...")
    began = time.monotonic()
    system.entra_sms("sync", "--full", "--wait")
    click.echo(f"The book is complete after {time.monotonic() - began:.1f} s.")
    _await_subscriptions(system)
    return system


def _await_subscriptions(system: System) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while len(system.simulated().call("GET", "subscriptions")["subscriptions"]) < 2:
        if time.monotonic() > deadline:
            raise LocalServiceError("The worker made no subscriptions; see its log.")
        time.sleep(LOOK_SECONDS)


def _introduce(system: System, node: Broker) -> None:
    control, operator = system.simulated(), node.account(OPERATOR)
    click.echo(f"""
  RabbitMQ's pages      {node.management_url}  user {operator.user}, password {operator.password}
  simulated directory   {control.url}/control/tenants/default/directory
  logs                  {system.directory / "logs"}
  address book          {system.directory / "book.sqlite3"}

Seconds from the change in the directory to the row in the address book:
""")


def _watch(landings: Landings, latencies: list[float], seconds: float | None) -> None:
    ends_at = None if seconds is None else time.monotonic() + seconds
    while ends_at is None or time.monotonic() < ends_at:
        for landing in landings.look():
            latencies.append(landing.latency_seconds)
            click.echo(f"  {landing.latency_seconds:5.2f} s   {landing.summary}")
        time.sleep(LOOK_SECONDS)


def _conclude(system: System, landings: Landings, latencies: list[float]) -> int:
    """Wait until the book equals the directory, now that nothing happens there any more, and say how it went."""
    expected = book_of_directory(system.simulated().directory())
    deadline = time.monotonic() + SETTLE_SECONDS
    while found := differences(expected, book_of_database(system.database_url, system.simulated().tenant_id)):
        if time.monotonic() > deadline:
            click.echo("\n".join(["The address book does NOT equal the directory:", *found[:20]]))
            return 1
        time.sleep(LOOK_SECONDS)
    latencies.extend(landing.latency_seconds for landing in landings.look())
    landings.close()
    click.echo(
        f"\n{landings.made} changes; the address book equals the directory: {len(expected.people)} people, "
        f"{len(expected.groups)} groups, {len(expected.edges)} memberships."
    )
    if latencies:
        click.echo(
            f"Latency: median {percentile(latencies, 0.5):.2f} s, 95 % within {percentile(latencies, 0.95):.2f} s, "
            f"longest {max(latencies):.2f} s."
        )
    return 0


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


def _let_nothing_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


if __name__ == "__main__":
    main()
