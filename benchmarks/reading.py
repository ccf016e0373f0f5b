"""Reading the book: recipients through nested groups, exports of everybody, and search while somebody types.

The commands are processes; what they take beyond starting Python is measured against `entra-sms --version`.
"""

from __future__ import annotations

import http.client
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import select

from benchmarks.books import Books, Company, analyse, edge, insert_rows
from benchmarks.figure import Effort, Figure, at_most
from benchmarks.full_round_scene import DATABASES, databases
from benchmarks.memory import peak_mib
from benchmarks.turns import take_turns
from common.db import tables
from common.db.engine import Database
from deploy.local.errors import LocalServiceError
from deploy.local.paths import ROOT
from deploy.local.ports import Reservation
from deploy.local.runs import Run, say
from tests.support.eventually import eventually
from tests.support.notifications import SECRET_KEY

NAME = "reading"
DESCRIPTION = "recipients, exports and search in a large book, against `entra-sms --version` and small books."

LEVELS = 20
FIRST_BYTE_MS = at_most(100)
SAME_MEMORY = at_most(1.2)
START_SECONDS = 60.0
AT_ONCE = 1 << 16
COMMAND = Path(sys.executable).with_name("entra-sms")
SEARCHED = {
    "part of a name": ("na", "naw", "nawrot", "novak", "garc"),
    "part of a number": ("6012", "60123", "601234", "6012345", "60123456"),
    "a name that nobody has": ("xyzzy", "qwertyu", "plugh", "zzzzq", "wkrtz"),
}
"""What is typed, beside the mail addresses of some people in the book."""


@dataclass(frozen=True)
class Plan:
    """How many people are in the book and in the groups, and how often everything is done."""

    people: int
    recipients: int
    repetitions: int


PLANS = {
    Effort.QUICK: Plan(people=20_000, recipients=5_000, repetitions=2),
    Effort.ORDINARY: Plan(people=500_000, recipients=50_000, repetitions=5),
    Effort.FULL: Plan(people=500_000, recipients=50_000, repetitions=9),
}


@dataclass(frozen=True)
class Prepared:
    """A large book with nested groups, a small one, and mail addresses in the large one."""

    large: Company
    small: Company
    outermost: str
    addresses: list[str]


@dataclass(frozen=True)
class Written:
    """What came of a command: milliseconds to its first byte and to its end, its bytes, and its memory at most."""

    first_byte_ms: float
    end_ms: float
    bytes_written: int
    peak_mib: float


def measure(effort: Effort) -> list[Figure]:
    """Return the figures, for both databases."""
    plan = PLANS[effort]
    figures: list[Figure] = []
    with Run.claim("bench", several=True) as run, databases(run) as made:
        for kind in DATABASES:
            with made.fresh(kind) as database_url:
                say(f"  {kind}: making a book of {plan.people:,} people ...")
                database = Database.from_url(database_url)
                prepared = _prepare(database, plan)
                database.close()
                figures += _commands(database_url, prepared, plan, kind)
                figures += _over_http(run, database_url, prepared, plan, kind)
    return figures


def _prepare(database: Database, plan: Plan) -> Prepared:
    """Make the books. In the large one there are groups in groups, each with as many people of its own."""
    books = Books(database, "https://graph.example")
    large, small = books.company(plan.people, 5_000), books.company(1_000, 20)
    levels = large.groups[:LEVELS]
    nested = (edge(large.tenant_id, outer, inner, "group") for outer, inner in pairwise(levels))
    within = (
        edge(large.tenant_id, levels[number % LEVELS], one, "user")
        for number, one in enumerate(large.people[: plan.recipients])
        if large.groups[number % len(large.groups)] != levels[number % LEVELS]
    )
    with database.write() as connection:
        insert_rows(connection, tables.memberships, nested)
        insert_rows(connection, tables.memberships, within)
        mine = (tables.contacts.c.tenant_id == large.tenant_id, tables.contacts.c.object_id.in_(large.people[:5]))
        addresses = [str(mail) for mail in connection.scalars(select(tables.contacts.c.mail).where(*mine))]
    analyse(database)
    return Prepared(large, small, levels[0], addresses)


def _commands(database_url: str, prepared: Prepared, plan: Plan, kind: str) -> Iterator[Figure]:
    of_large, of_small = ("--tenant", prepared.large.tenant_id), ("--tenant", prepared.small.tenant_id)
    run = partial(_write, database_url)
    arms = {
        "version": partial(run, "--version"),
        "recipients": partial(run, "recipients", *of_large, prepared.outermost),
        "everybody": partial(run, "contacts", "export", *of_large),
        "few": partial(run, "contacts", "export", *of_small),
    }
    say(f"  {kind}: recipients and exports ...")
    said = take_turns(arms, plan.repetitions)
    started = [one.end_ms for one in said["version"]]
    against = "entra-sms --version"
    for what, name in (
        (f"recipients of a group of {plan.recipients:,} through {LEVELS} levels", "recipients"),
        (f"export of {plan.people:,} contacts", "everybody"),
        ("export of 1,000 contacts", "few"),
    ):
        first = [one.first_byte_ms - start for one, start in zip(said[name], started, strict=True)]
        aim = FIRST_BYTE_MS
        yield Figure.of(f"{NAME}: {what}, {kind}: first byte", "ms more", first, against=against, aim=aim)
        if name != "few":
            loaded = [one.first_byte_ms - few.first_byte_ms for one, few in zip(said[name], said["few"], strict=True)]
            of_few = "an export of 1,000 contacts, which loads the same libraries"
            title = f"{NAME}: {what}, {kind}: first byte, libraries loaded"
            yield Figure.of(title, "ms more", loaded, against=of_few, aim=aim)
        end = [one.end_ms - start for one, start in zip(said[name], started, strict=True)]
        yield Figure.of(f"{NAME}: {what}, {kind}: all of it", "ms more", end, against=against)
    for what, name in (("recipients", "recipients"), (f"export of {plan.people:,} contacts", "everybody")):
        memory = [one.peak_mib / few.peak_mib for one, few in zip(said[name], said["few"], strict=True)]
        against = "an export of 1,000 contacts"
        yield Figure.of(f"{NAME}: memory, {what}, {kind}", "times its memory", memory, against=against, aim=SAME_MEMORY)


def _write(database_url: str, *arguments: str) -> Written:
    """Run a command to its end."""
    began = time.perf_counter()
    with subprocess.Popen(
        [COMMAND, *arguments],
        env=_environment(database_url),
        bufsize=0,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        if process.stdout is None:
            raise LocalServiceError("There is nothing to read from.")
        written = len(process.stdout.read(1))
        first = time.perf_counter()
        peak = 0.0
        while some := process.stdout.read(AT_ONCE):
            written += len(some)
            peak = peak_mib(process.pid) or peak
    if process.returncode or not written:
        raise LocalServiceError(f"entra-sms {arguments[0]} ended with {process.returncode} and wrote {written} bytes.")
    end = time.perf_counter()
    return Written(1000 * (first - began), 1000 * (end - began), written, peak)


def _over_http(run: Run, database_url: str, prepared: Prepared, plan: Plan, kind: str) -> Iterator[Figure]:
    say(f"  {kind}: the HTTP API ...")
    typed = dict(SEARCHED) | {"a whole mail address": tuple(prepared.addresses)}
    pages = {"100 contacts": "contacts", "1,000 recipients": f"recipients?group={prepared.outermost}"}
    with _api(run, database_url, prepared.large.tenant_id) as (port, key):
        for what, path in pages.items():
            took_ms = [_answered(port, key, prepared.large.tenant_id, path) for _ in range(plan.repetitions)]
            title = f"{NAME}: the first {what} over HTTP, {kind}: first byte"
            yield Figure.of(title, "ms", took_ms, against="nothing: a time", aim=FIRST_BYTE_MS)
        for what, words in typed.items():
            search = partial(_search, port, key, prepared.large.tenant_id)
            took = [[search(word) for word in words] for _ in range(plan.repetitions)]
            medians = [statistics.median(one) for one in took]
            against = "nothing: a time"
            yield Figure.of(f"{NAME}: search for {what}, {kind}", "ms", medians, against=against, aim=FIRST_BYTE_MS)


def _search(port: int, key: str, tenant_id: str, word: str) -> float:
    """Return the milliseconds until the first ten people are there."""
    return _answered(port, key, tenant_id, f"contacts?{urlencode({'search': word, 'limit': 10})}")


def _answered(port: int, key: str, tenant_id: str, path: str) -> float:
    """Return the milliseconds until the first byte of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    began = time.perf_counter()
    connection.request("GET", f"/v1/tenants/{tenant_id}/{path}", headers={"Authorization": f"Bearer {key}"})
    answer = connection.getresponse()
    took = 1000 * (time.perf_counter() - began)
    answer.read()
    connection.close()
    if answer.status != 200:
        raise LocalServiceError(f"The HTTP API answered {answer.status}.")
    return took


@contextmanager
def _api(run: Run, database_url: str, tenant_id: str) -> Iterator[tuple[int, str]]:
    """Run the HTTP API; its port, and a key."""
    environment = _environment(database_url)
    made = ["keys", "create", "benchmark", "--tenant", tenant_id]
    key = _said([str(COMMAND), *made], environment)
    with Reservation(1) as reservation:
        port = reservation.ports[0]
        command = [str(COMMAND), "serve", "--bind", f"127.0.0.1:{port}"]
        process = run.start("api", command, env=environment, mark="entra-sms serve")
        ready = partial(_search, port, key, tenant_id, "nobody")
        eventually(ready, within_seconds=START_SECONDS, despite=(OSError,), what="the HTTP API")
        try:
            yield port, key
        finally:
            process.stop()


def _said(command: Sequence[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalServiceError(f"{' '.join(command)} failed: {done.stderr}")
    return done.stdout.strip()


def _environment(database_url: str) -> dict[str, str]:
    ours = {"ENTRA_SMS_DATABASE_URL": database_url, "ENTRA_SMS_SECRET_KEY": SECRET_KEY}
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | ours
