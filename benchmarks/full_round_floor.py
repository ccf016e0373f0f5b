"""`python -m benchmarks.full_round_floor`: the least that a program does which pulls a directory into a database.

One connection, one thread: fetch a page, parse it, insert its people, or its groups and memberships, as they are said
to be; a transaction a page. No phone is read, nothing is compared, no change is told, no cursor is kept. Two ways to
insert: ``sqlalchemy``, an INSERT of many rows; ``driver``, the fastest that the database's own driver has (COPY, or
`executemany` of tuples).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
import orjson
import urllib3
from sqlalchemy import Connection, Table, func, insert, select

from benchmarks.full_round_worker import TENANT_ID, add_tenant
from common.config import Settings, load
from common.db.engine import Database
from common.db.tables import contacts, groups, memberships
from common.graph.resources import SELECT
from common.messages import Stream

Row = dict[str, Any]
Insert = Callable[[Connection, Table, list[Row]], None]


def pull(settings: Settings, database: Database, put: Insert) -> float:
    """Return the seconds from the first request to the last commit."""
    began = time.perf_counter()
    pool = urllib3.PoolManager(1, ca_certs=str(settings.ca_bundle))
    headers = {"Authorization": "Bearer benchmark", "Accept-Encoding": "gzip"}
    for stream in Stream:
        link = f"{settings.graph_url}/v1.0/{stream}/delta?$select={','.join(SELECT[stream])}"
        while link:
            page = orjson.loads(pool.request("GET", link, headers=headers).data)
            with database.write() as connection:
                for table, rows in _rows(stream, page["value"]):
                    if rows:
                        put(connection, table, rows)
            link = page.get("@odata.nextLink")
    return time.perf_counter() - began


def _rows(stream: Stream, entries: list[Row]) -> Iterator[tuple[Table, list[Row]]]:
    if stream is Stream.USERS:
        yield contacts, [_person(entry) for entry in entries]
        return
    # A large group comes again with other members.
    yield groups, [_group(entry) for entry in {entry["id"]: entry for entry in entries}.values()]
    yield (
        memberships,
        [
            {
                "tenant_id": TENANT_ID,
                "group_id": entry["id"],
                "member_id": member["id"],
                "member_type": member["@odata.type"],
                "generation": 1,
            }
            for entry in entries
            for member in entry.get("members@delta", ())
        ],
    )


def _person(entry: Row) -> Row:
    return {
        "tenant_id": TENANT_ID,
        "object_id": entry["id"],
        "display_name": entry["displayName"],
        "given_name": entry["givenName"],
        "surname": entry["surname"],
        "mail": entry.get("mail"),
        "user_principal_name": entry["userPrincipalName"],
        "mobile_phone": entry.get("mobilePhone"),
        "business_phones": entry["businessPhones"],
        "usage_location": entry.get("usageLocation"),
        "account_enabled": entry["accountEnabled"],
        "user_type": entry["userType"],
        "phone": entry.get("mobilePhone"),
        "phone_state": "ok",
        "generation": 1,
    }


def _group(entry: Row) -> Row:
    return {
        "tenant_id": TENANT_ID,
        "object_id": entry["id"],
        "display_name": entry["displayName"],
        "mail": entry.get("mail"),
        "kind": "security",
        "generation": 1,
    }


class Floor:
    """Inserts; it remembers the groups that are in already."""

    def __init__(self, put: Insert) -> None:
        self._put = put
        self._known: set[str] = set()

    def __call__(self, connection: Connection, table: Table, rows: list[Row]) -> None:
        if table is groups:
            rows = [row for row in rows if row["object_id"] not in self._known]
            self._known.update(row["object_id"] for row in rows)
        if rows:
            self._put(connection, table, rows)


def by_sqlalchemy(connection: Connection, table: Table, rows: list[Row]) -> None:
    connection.execute(insert(table), rows)


def by_driver(connection: Connection, table: Table, rows: list[Row]) -> None:
    names = list(rows[0])
    lists = [name for name in names if isinstance(rows[0][name], list)]
    for name in lists:
        for row in rows:
            row[name] = orjson.dumps(row[name]).decode()
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        places = ",".join("?" * len(names))
        driver.executemany(
            f"INSERT INTO {table.name} ({','.join(names)}) VALUES ({places})", [tuple(row.values()) for row in rows]
        )
        return
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({','.join(names)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(tuple(row.values()))


WAYS: dict[str, Insert] = {"sqlalchemy": by_sqlalchemy, "driver": by_driver}


@click.command()
@click.option("--way", type=click.Choice(list(WAYS)), default="sqlalchemy")
def main(way: str) -> None:
    """Pull the directory that the settings in the environment name into their database, and tell what it took."""
    settings = load(os.environ)
    database = Database.from_settings(settings)
    add_tenant(settings, database)
    cpu_seconds = time.process_time()
    seconds = pull(settings, database, Floor(WAYS[way]))
    cpu_seconds = time.process_time() - cpu_seconds
    with database.read() as connection:
        rows = [connection.scalar(select(func.count()).select_from(one)) for one in (contacts, groups, memberships)]
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "rows": rows}))


if __name__ == "__main__":
    main()
