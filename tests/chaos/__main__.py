"""`make chaos`: the whole system with every kind of fault at once, and the proof that nothing was lost.

The last line is one JSON object; exit status 1 unless the book is equal to the directory, nothing was lost, wrongly
removed or left behind, the copy of the consumer of docs/events.md equals the book, no message is among the dead
letters, no process crashed or logged a traceback, every planned kind of fault hit somebody, and no marked value or
secret was found where it must not be.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import click

from deploy.local.comparison import book_of_directory
from deploy.local.errors import LocalServiceError
from deploy.local.runs import Run, exit_on_signals
from tests.chaos import calm, search
from tests.chaos.consumer import catches_up, consumer
from tests.chaos.life import Life
from tests.chaos.marks import Leak
from tests.chaos.plan import strikes
from tests.chaos.stage import Stage, stage
from tests.chaos.storm import Storm
from tests.chaos.verdict import Verdict
from tests.support.follower import Follower

_SHOWN = 20


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--seconds", default=120.0, show_default=True, type=click.FloatRange(4, 86_400), help="Length of the storm."
)
@click.option("--seed", default=1, show_default=True, help="Same seed and length, same plan of faults.")
@click.option("--users", default=5_000, show_default=True, type=click.IntRange(100, 200_000), help="People.")
@click.option("--groups", default=80, show_default=True, type=click.IntRange(5, 20_000), help="Groups.")
@click.option("--patience", default=300.0, show_default=True, help="Longest wait in seconds until the book is equal.")
def main(seconds: float, seed: int, users: int, groups: int, patience: float) -> None:
    """Strike a running system with faults of every kind, and prove that nothing was lost.

    Own RabbitMQ and PostgreSQL, two webhooks behind a balancer, two workers, and a simulated directory in which people
    come, change and go the whole time. Two minutes hold each kind of fault at least once: processes, broker and
    database killed, networks cut, stalled and slowed, and whatever Graph may do. When it is over, the address book has
    to equal the directory.
    """
    exit_on_signals()
    try:
        with Run.claim("chaos", several=True) as run:
            click.echo(f"Logs of all processes: {run.directory}/logs")
            with (
                stage(run, users=users, groups=groups, seed=seed, tell=click.echo) as made,
                consumer(made) as follower,
            ):
                sys.exit(_run(made, follower, seed=seed, seconds=seconds, patience_seconds=patience))
    except LocalServiceError as error:
        raise click.ClickException(str(error)) from error


def _run(made: Stage, follower: Follower, *, seed: int, seconds: float, patience_seconds: float) -> int:
    control = made.control
    founders = set(book_of_directory(control.directory()).people)
    life = Life(control, seed)
    life.found()
    made.system.add_tenant()
    made.system.entra_sms("sync", "--full", "--wait")
    search.tap(made)
    click.echo("First sync complete. The company is lively, and the storm begins.")
    changes_before = len(control.changes_after(0))
    plan = strikes(seed, seconds)
    storm = Storm(made, life, click.echo)
    life.begin()
    storm.rage(plan, seconds)
    life.end()
    calm.restore(made, storm)
    changes = len(control.changes_after(0)) - changes_before
    click.echo(f"The storm is over, the company still after {changes} changes; waiting for the book ...")
    until_equal = calm.await_equality(made, patience_seconds, click.echo)
    notifications = control.call("GET", "statistics")["notifications"]
    verdict = calm.judge(made, founders)
    copy_is_equal = catches_up(made, follower, patience_seconds)
    dead_letters = search.count_dead_letters(made)
    leaks = _leaks(made, storm)
    tracebacks = search.tracebacks(made)
    planned = {strike.kind for strike in plan}
    unfired = sorted(planned - set(storm.fired))
    _explain(verdict, leaks, unfired, storm, tracebacks)
    click.echo(
        json.dumps(
            {
                "seed": seed,
                "seconds": seconds,
                "faults": dict(sorted(storm.fired.items())),
                "unfired": unfired,
                "changes": changes,
                "notifications": {name: notifications.get(name, 0) for name in ("created", "sent", "acknowledged")},
                "lost": len(verdict.lost),
                "wrongly_removed": len(verdict.wrongly_removed),
                "stayed": len(verdict.stayed),
                "seconds_until_equal": None if until_equal is None else round(until_equal, 1),
                "dead_letters": dead_letters,
                "restarts": storm.restarts,
                "crashes": len(storm.crashes),
                "tracebacks": len(tracebacks),
                "leaks": _leak_report(leaks),
                "equal": until_equal is not None and not verdict.differing,
                "copy_by_events_equal": copy_is_equal,
            }
        )
    )
    is_sound = until_equal is not None and verdict.is_clean and copy_is_equal
    bad = not is_sound or dead_letters or unfired or storm.crashes or tracebacks or leaks
    return 1 if bad else 0


def _leaks(made: Stage, storm: Storm) -> list[Leak]:
    """Look into everything; ends the webhooks and workers, since the queues are emptied."""
    people, secrets = search.needles_of(made, storm.client_states)
    texts = [*search.metrics(made), *search.error_pages(made)]
    for post in made.posts:
        post.stop()
    texts += [*search.messages(made), *search.rows(made)]
    return search.leaks_in_all(made, texts, people, secrets)


def _leak_report(leaks: list[Leak]) -> dict[str, Any]:
    where = Counter(f"{leak.needle} in {leak.where.partition(':')[0]}" for leak in leaks)
    return {"count": len(leaks), "where": dict(where.most_common(_SHOWN))}


def _explain(verdict: Verdict, leaks: list[Leak], unfired: list[str], storm: Storm, tracebacks: list[str]) -> None:
    for words, found in (
        ("differ", verdict.differing),
        ("were lost", verdict.lost),
        ("were wrongly removed", verdict.wrongly_removed),
        ("stayed", verdict.stayed),
        ("leaked", [str(leak) for leak in leaks]),
        ("of the planned kinds of faults hit nobody", unfired),
        ("of the processes crashed", storm.crashes),
        ("tracebacks were logged", tracebacks),
    ):
        if found:
            click.echo(f"{len(found)} {words}: {', '.join(found[:_SHOWN])}")


if __name__ == "__main__":
    main()
