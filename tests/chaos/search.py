"""Everything that must hold neither people nor secrets, read at the end of a run and searched for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import requests
from sqlalchemy import MetaData, create_engine, select

from common import topology
from tests.chaos.marks import (
    SURNAME,
    Leak,
    Needle,
    leaks_in,
    leaks_in_files,
    marked_phone,
    personal_needles,
    secret_needles,
)
from tests.chaos.stage import Stage

TAP = "chaos.tap"
"""A queue that gets a copy of everything that goes over our exchange."""
OF_PEOPLE = frozenset({"contacts", "groups"})
"""The tables that exist to hold people and names of groups."""
OF_THE_OPERATOR = frozenset({"name", "domain"})
"""Columns of `tenants` that an operator typed in."""
OUR_LOGS = ("webhook", "worker", "console")
"""How the names of our processes' logs begin; those of the services are not ours, and the simulator's are nobody's."""
_ANSWER_SECONDS = 10.0


@contextmanager
def _channel(stage: Stage) -> Iterator[Any]:
    with pika.BlockingConnection(pika.URLParameters(stage.broker.broker.amqp_url)) as connection:
        yield connection.channel()


def tap(stage: Stage) -> None:
    """Begin to keep a copy of every message that is published on our exchange, the dead letters too.

    The exchange of the events is another one: they exist to carry people.
    """
    with _channel(stage) as channel:
        channel.queue_declare(TAP, durable=True)
        channel.queue_bind(TAP, topology.EXCHANGE, "#")


def needles_of(stage: Stage, client_states: Iterable[str]) -> tuple[list[Needle], list[Needle]]:
    """Return what gives people away, and the secrets of this installation."""
    key = (stage.system.directory / "secret-key").read_text().strip()
    secrets = [
        ("the client secret", stage.control.client_secret),
        ("the server key", key),
        ("the broker's password", stage.broker.broker.password),
        ("the database's password", stage.postgres.cluster.password),
        *(("a clientState", state) for state in client_states),
    ]
    return personal_needles(stage.control.domain), secret_needles(secrets)


def metrics(stage: Stage) -> list[tuple[str, bytes]]:
    """Return what each process tells a monitoring system."""
    with _session() as session:
        return [
            (f"metrics of {post.name}", _get(session, f"http://127.0.0.1:{post.metrics_port}/metrics"))
            for post in stage.posts
        ]


def error_pages(stage: Stage) -> list[tuple[str, bytes]]:
    """Return what the webhook answers to requests that it does not take, each of which holds marked values."""
    words = f"{SURNAME} {marked_phone(1)}"
    item = {"clientState": words, "resource": f"Users/{SURNAME}", "tenantId": stage.control.tenant_id}
    url = f"https://localhost:{stage.system.public_port}"
    found = []
    with _session() as session:
        session.verify = stage.control.ca_file
        for name, method, path, body in (
            ("an unknown page", "GET", f"/nowhere?who={SURNAME}", ""),
            ("a wrong method", "DELETE", "/graph/notifications", words),
            ("garbage", "POST", "/graph/notifications", words),
            ("a wrong item", "POST", "/graph/notifications", json.dumps({"value": [item]})),
            ("a wrong event", "POST", "/graph/lifecycle", json.dumps({"value": [item | {"lifecycleEvent": words}]})),
        ):
            answer = session.request(method, url + path, data=body.encode(), timeout=_ANSWER_SECONDS)
            headers = "\n".join(f"{key}: {value}" for key, value in answer.headers.items())
            found.append((f"the webhook's answer to {name}", headers.encode() + b"\n" + answer.content))
    return found


def count_dead_letters(stage: Stage) -> int:
    with _channel(stage) as channel:
        return int(channel.queue_declare(topology.DEAD_LETTERS, passive=True).method.message_count)


def messages(stage: Stage) -> list[tuple[str, bytes]]:
    """Take every message out of every queue, with its headers; nobody else may consume any more."""
    queues = [queue["name"] for queue in stage.broker.broker.management.call("GET", "queues")]
    found = []
    with _channel(stage) as channel:
        for queue in sorted(queues):
            while (message := channel.basic_get(queue, auto_ack=True))[0] is not None:
                _, properties, body = message
                found.append((f"a message in {queue}", repr(properties).encode() + b" " + body))
    return found


def rows(stage: Stage) -> list[tuple[str, bytes]]:
    """Return every row of every table that is not for people."""
    engine = create_engine(stage.direct_database_url)
    tables = MetaData()
    tables.reflect(engine)
    found = []
    with engine.connect() as connection:
        for table in tables.sorted_tables:
            if table.name in OF_PEOPLE:
                continue
            columns = [column for column in table.c if table.name != "tenants" or column.name not in OF_THE_OPERATOR]
            lines = [repr(tuple(row)) for row in connection.execute(select(*columns))]
            found.append((f"table {table.name}", "\n".join(lines).encode()))
    engine.dispose()
    return found


def leaks_in_all(
    stage: Stage, texts: Iterable[tuple[str, bytes]], people: list[Needle], secrets: list[Needle]
) -> list[Leak]:
    """Search `texts`, all logs, and the database's own files, in which people may be but no secret."""
    with stage.postgres.cluster.connect() as connection:
        connection.execute("CHECKPOINT")  # what is only in memory goes to the files
    return [
        *(leak for where, content in texts for leak in leaks_in(where, content, people + secrets)),
        *leaks_in_files(_our_logs(stage), people + secrets),
        *leaks_in_files(sorted(stage.postgres.data.rglob("*")), secrets),
    ]


def tracebacks(stage: Stage) -> list[str]:
    """Return where our processes logged a traceback: a defect that they survived, or did not."""
    needle = Needle("a traceback", re.compile(rb"Traceback \(most recent call last\)"))
    return [leak.where for leak in leaks_in_files(_our_logs(stage), [needle])]


def _our_logs(stage: Stage) -> list[Path]:
    return sorted(path for path in (stage.system.directory / "logs").glob("*.log") if path.stem.startswith(OUR_LOGS))


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def _get(session: requests.Session, url: str) -> bytes:
    answer = session.get(url, timeout=_ANSWER_SECONDS)
    answer.raise_for_status()
    return answer.content
