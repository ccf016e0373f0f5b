"""`make smoke`: first sync, random changes of every kind, and the proof that the address book equals the directory.

The last line is one JSON object; exit status 1 when the book is not equal, or when a fault that was asked for never
happened.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from deploy.local import broker, postgres
from deploy.local.comparison import (
    Book,
    book_of_database,
    book_of_directory,
    differences,
    differences_of_recipients,
    recipients_by_group,
)
from deploy.local.control import Control
from deploy.local.errors import LocalServiceError
from deploy.local.landings import Landings, percentile
from deploy.local.rabbitmq import PROCESSES
from deploy.local.runs import Run, exit_on_signals
from deploy.local.system import System

LOOK_SECONDS = 0.02
CHANGES_AT_ONCE = 10
MOST_ROUNDS_FOR_FAULTS = 60
SETTINGS = {
    # What waits for minutes in production must not make a test wait for minutes.
    "ENTRA_SMS_FOLLOW_UP_SECONDS": "1,5,15",
    "ENTRA_SMS_POLL_SECONDS": "10",
    "ENTRA_SMS_GRAPH_TIMEOUT_SECONDS": "10",
    "ENTRA_SMS_LEASE_SECONDS": "15",
}
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "delivery": {
        "notification_duplicate": 0.2,
        "notification_reorder": 0.2,
        "notification_drop": 0.2,
        "notification_delay_seconds": 0.3,
    },
    "delta": {
        "delta_duplicate_in_page": 0.2,
        "delta_duplicate_across_pages": 0.2,
        "delta_empty_pages": 2,
        "delta_sparse_updates": 0.1,
        "throttle": 0.05,
        "retry_after_seconds": 1.0,
        "server_error": 0.05,
        "expire_token": 0.05,
        "replication_lag_seconds": 1.5,
    },
}
"""What FAULTS=delivery, FAULTS=delta or FAULTS=all turns on, all at once."""

TOKEN_SHAPES = ("gone", "sync_state_not_found", "unsupported_query")
RETRY_AFTER_FORMS = ("integer", "decimal", "date", "absent")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--users", default=500, show_default=True, type=click.IntRange(1, 200_000), help="People.")
@click.option("--groups", default=40, show_default=True, type=click.IntRange(1, 20_000), help="Groups.")
@click.option("--changes", default=200, show_default=True, type=click.IntRange(1, 100_000), help="Random changes.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 8), help="Worker processes.")
@click.option("--faults", type=click.Choice([*FAULTS, "all"]), help="Faults of the simulated Graph to turn on.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same company and same changes.")
@click.option("--database", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
@click.option("--seconds", default=300.0, show_default=True, help="Longest wait until the book is equal.")
def main(
    users: int, groups: int, changes: int, workers: int, faults: str | None, seed: int, database: str, seconds: float
) -> None:
    """Sync a simulated company, change it, and compare the address book with the directory."""
    exit_on_signals()
    try:
        with Run.claim("smoke", several=True) as run:
            system = _start(run, database, users=users, groups=groups, seed=seed, workers=workers)
            sys.exit(_smoke(system, changes=changes, faults=faults, seed=seed, patience_seconds=seconds))
    except LocalServiceError as error:
        raise click.ClickException(str(error)) from error


def _start(run: Run, database: str, *, users: int, groups: int, seed: int, workers: int) -> System:
    node = broker.start(run, fresh=True)
    if database == "postgresql":
        database_url = postgres.start(run, fresh=True).url_of("postgres")
    else:
        database_url = _fresh_sqlite(run.directory)
    system = System(run, node.account(PROCESSES).amqp_url, database_url, SETTINGS)
    click.echo(
        f"Starting a simulated directory of {users:,} people and {groups:,} groups, webhook and {workers} worker(s) ..."
    )
    system.start_simulator(users=users, groups=groups, seed=seed)
    system.start_webhook()
    for number in range(workers):
        system.start_worker(f"worker-{number + 1}")
    system.add_tenant()
    began = time.monotonic()
    system.entra_sms("sync", "--full", "--wait")
    click.echo(f"First sync complete after {time.monotonic() - began:.1f} s.")
    return system


def _fresh_sqlite(directory: Path) -> str:
    for old in directory.glob("book.sqlite3*"):
        old.unlink()
    return f"sqlite:///{directory / 'book.sqlite3'}"


def _smoke(system: System, *, changes: int, faults: str | None, seed: int, patience_seconds: float) -> int:
    control = system.simulated()
    wanted = _knobs(faults)
    landings = Landings(control, system.database_url)
    landings.skip_past()
    if wanted:
        control.call("PUT", "faults", {**wanted, "seed": seed})
        click.echo(f"Faults on: {', '.join(wanted)}.")
    asked_before = control.graph_requests()
    latencies: list[float] = []
    with ExitStack() as stack:
        stack.callback(landings.close)
        made = _change(control, landings, latencies, changes, seed)
        if wanted:
            made += _change_until_all_fired(control, landings, latencies, wanted, seed)
        click.echo(f"{made} changes made; waiting until the address book equals the directory ...")
        book, found = _await_equality(system, landings, latencies, patience_seconds)
    found += differences_of_recipients(book, system.database_url, control.tenant_id)
    missing = _report_faults(control, wanted)
    for line in found[:20]:
        click.echo(line)
    click.echo(json.dumps(_result(book, found, made, latencies, control.graph_requests() - asked_before)))
    return 1 if found or missing else 0


def _knobs(faults: str | None) -> dict[str, Any]:
    if faults is None:
        return {}
    names = list(FAULTS) if faults == "all" else [faults]
    return {knob: value for name in names for knob, value in FAULTS[name].items()}


def _change(control: Control, landings: Landings, latencies: list[float], changes: int, seed: int) -> int:
    """Make `changes` random changes, a few at a time, looking for landings in between."""
    made = 0
    while made < changes:
        count = min(CHANGES_AT_ONCE, changes - made)
        control.call("POST", "random-changes", {"count": count, "seed": seed * 1_000_003 + made})
        made += count
        _look_for(0.2, landings, latencies)
    return made


def _change_until_all_fired(
    control: Control, landings: Landings, latencies: list[float], wanted: Mapping[str, Any], seed: int
) -> int:
    """Go on changing things, with each shape of dead token and each form of Retry-After, until every fault happened."""
    made = 0
    for number in range(MOST_ROUNDS_FOR_FAULTS):
        shapes_done = number >= max(len(TOKEN_SHAPES), len(RETRY_AFTER_FORMS))
        if shapes_done and not _unfired(control, wanted):
            break
        if "expire_token" in wanted:
            shape = TOKEN_SHAPES[number % len(TOKEN_SHAPES)]
            form = RETRY_AFTER_FORMS[number % len(RETRY_AFTER_FORMS)]
            control.call("PUT", "faults", {"expired_token_shape": shape, "retry_after": form})
            if not shapes_done:
                control.call("PUT", "faults", {"expire_next_tokens": 1, "throttle_next": 1})
        made += _change(control, landings, latencies, CHANGES_AT_ONCE, seed + 7_919 * (number + 1))
        _look_for(1.0, landings, latencies)
    return made


def _await_equality(
    system: System, landings: Landings, latencies: list[float], patience_seconds: float
) -> tuple[Book, list[str]]:
    expected = book_of_directory(system.simulated().directory())
    deadline = time.monotonic() + patience_seconds
    while True:
        found = differences(expected, book_of_database(system.database_url, system.simulated().tenant_id))
        _look_for(0.0, landings, latencies)
        if not found or time.monotonic() > deadline:
            return expected, found
        _look_for(0.5, landings, latencies)


def _look_for(seconds: float, landings: Landings, latencies: list[float]) -> None:
    ends_at = time.monotonic() + seconds
    while True:
        latencies.extend(landing.latency_seconds for landing in landings.look())
        if time.monotonic() >= ends_at:
            return
        time.sleep(LOOK_SECONDS)


def _unfired(control: Control, wanted: Mapping[str, Any]) -> list[str]:
    fired = control.fired()
    return [knob for knob in wanted if not fired.get(knob) and not knob.startswith("retry_after")]


def _report_faults(control: Control, wanted: Mapping[str, Any]) -> list[str]:
    if not wanted:
        return []
    fired = control.fired()
    counted = {knob: count for knob, count in sorted(fired.items()) if count and not knob.startswith("initial_round")}
    click.echo("Faults fired: " + ", ".join(f"{knob} {count}" for knob, count in counted.items()) + ".")
    missing = _unfired(control, wanted)
    if missing:
        click.echo(f"These never happened, so nothing was proven about them: {', '.join(missing)}.")
    return missing


def _result(book: Book, found: list[str], made: int, latencies: list[float], graph_requests: int) -> dict[str, Any]:
    in_ms = [1000 * latency for latency in latencies]
    return {
        "equal": not found,
        "contacts": len(book.people),
        "groups": len(book.groups),
        "memberships": len(book.edges),
        "recipients": sum(len(found) for found in recipients_by_group(book).values()),
        "changes": made,
        "latency_ms": {
            "p50": round(percentile(in_ms, 0.5)),
            "p95": round(percentile(in_ms, 0.95)),
            "max": round(max(in_ms, default=0.0)),
        },
        "graph_requests": graph_requests,
    }


if __name__ == "__main__":
    main()
