"""A full round of users from ready-made pages, against a floor that parses the same pages and inserts plain rows.

No network and no Graph latency: what is measured is what the worker adds to fetching.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import insert

from benchmarks.figure import Effort, Figure
from common.clock import utc_now
from common.config import Settings, load
from common.db import tenants
from common.db.engine import Database
from common.db.migrations import upgrade_database
from common.db.tables import contacts
from common.graph.client import DeltaPage
from common.messages import Reason, Stream
from worker import leases
from worker.leases import Lease, StreamKey, Wishes
from worker.rounds import full_slice
from worker.turn import Turn

NAME = "full_round"
DESCRIPTION = "a full round of ready-made pages, against a program that parses them and inserts plain rows."

TENANT_ID = str(UUID(int=1))
PAGE = 200
SETTINGS = {"ENTRA_SMS_SECRET_KEY": "benchmark" * 4}


class ReadyPages:
    """Stands for the Graph client: hands out pages that are parsed when they are asked for, as from the wire."""

    def __init__(self, pages: Sequence[bytes]) -> None:
        self._pages = pages

    def first_page(self, _stream: Stream) -> DeltaPage:
        return self.page("0")

    def page(self, link: str) -> DeltaPage:
        number = int(link)
        last = number == len(self._pages) - 1
        items = orjson.loads(self._pages[number])["value"]
        return DeltaPage(items, None if last else str(number + 1), "end" if last else None)


def measure(effort: Effort) -> list[Figure]:
    """Return the ratios of a first round and of a round over unchanged people to the floor."""
    users, repetitions = (2_000, 3) if effort is Effort.QUICK else (10_000, 5)
    pages = make_pages(users)
    samples: dict[str, list[float]] = {"first": [], "unchanged": []}
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as folder:
            floor = _seconds(partial(_floor, _database(Path(folder) / "floor.sqlite3"), pages))
            database = _database(Path(folder) / "book.sqlite3")
            samples["first"].append(_seconds(partial(_round, database, pages)) / floor)
            samples["unchanged"].append(_seconds(partial(_round, database, pages)) / floor)
    return [
        Figure.of(
            f"{NAME}: {name}, {users:,} people, SQLite",
            "times the floor",
            values,
            against="parse the same pages, insert plain rows",
        )
        for name, values in samples.items()
    ]


def make_pages(users: int) -> list[bytes]:
    """Return delta pages as Graph would send them, with a mobile number for everybody."""
    everybody = [_user(number) for number in range(users)]
    return [orjson.dumps({"value": everybody[start : start + PAGE]}) for start in range(0, users, PAGE)]


def _user(number: int) -> dict[str, Any]:
    return {
        "id": str(UUID(int=number + 2)),
        "displayName": f"Person {number}",
        "givenName": "Person",
        "surname": str(number),
        "mail": f"p{number}@example.com",
        "userPrincipalName": f"p{number}@example.com",
        "mobilePhone": f"+48 512 {number // 1000 % 1000:03} {number % 1000:03}",
        "businessPhones": [],
        "usageLocation": "PL",
        "accountEnabled": True,
        "userType": "Member",
    }


def _database(path: Path) -> Database:
    database = Database.from_url(f"sqlite:///{path}")
    upgrade_database(database)
    with database.write() as connection:
        tenants.save(
            connection,
            tenant_id=TENANT_ID,
            name="Benchmark",
            domain=None,
            client_id="",
            sealed_credential="",
            default_region="PL",
            agreement=tenants.Agreement("none", date(2026, 1, 1)),
            now=utc_now(),
        )
    return database


def _floor(database: Database, pages: Sequence[bytes]) -> None:
    for page in pages:
        rows = [_plain_row(user) for user in orjson.loads(page)["value"]]
        with database.write() as connection:
            connection.execute(insert(contacts), rows)


def _plain_row(user: dict[str, Any]) -> dict[str, Any]:
    return {
        "tenant_id": TENANT_ID,
        "object_id": user["id"],
        "display_name": user["displayName"],
        "given_name": user["givenName"],
        "surname": user["surname"],
        "mail": user["mail"],
        "user_principal_name": user["userPrincipalName"],
        "mobile_phone": user["mobilePhone"],
        "business_phones": user["businessPhones"],
        "usage_location": user["usageLocation"],
        "account_enabled": user["accountEnabled"],
        "user_type": user["userType"],
        "phone_state": "ok",
        "generation": 1,
    }


def _round(database: Database, pages: Sequence[bytes]) -> None:
    settings = load(SETTINGS)
    key = StreamKey(TENANT_ID, Stream.USERS)
    wishes = Wishes(Reason.OPERATOR, utc_now())
    lease = leases.acquire(database, key, "benchmark", 600.0, wishes)
    if lease is None or not full_slice(_turn(settings, database, lease, pages)):
        raise RuntimeError("The round did not end.")
    leases.abandon(database, lease)


def _turn(settings: Settings, database: Database, lease: Lease, pages: Sequence[bytes]) -> Turn:
    with database.read() as connection:
        tenant = tenants.get(connection, TENANT_ID)
    if tenant is None:
        raise RuntimeError("The tenant is not there.")
    client: Any = ReadyPages(pages)
    return Turn(
        settings=settings,
        database=database,
        client=client,
        tenant=tenant,
        lease=lease,
        reason=Reason.OPERATOR,
        ends_at=time.monotonic() + 3600,
        somebody_waits=lambda: False,
        stopping=lambda: False,
    )


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
