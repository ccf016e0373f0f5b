"""Databases for tests: each test gets its own, copied from one that was migrated once in the session."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg import sql

from deploy.local.postgres import Cluster


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def copied_sqlite(template: Path, folder: Path) -> str:
    path = folder / "addressbook.sqlite"
    shutil.copyfile(template, path)
    return sqlite_url(path)


@contextmanager
def postgres_database(cluster: Cluster, template: str = "template1") -> Iterator[str]:
    """A new database, dropped afterwards whoever is still connected; its name."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with cluster.connect() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    try:
        yield name
    finally:
        with cluster.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
