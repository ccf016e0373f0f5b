"""The consumer of docs/events.md: whatever was struck, its copy has to equal the book in the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from common.db.engine import Database
from tests.chaos.stage import Stage
from tests.support.eventually import eventually
from tests.support.follower import Follower, following, visible_book


@contextmanager
def consumer(stage: Stage) -> Iterator[Follower]:
    """One that is bound from now on; during the storm it is away, and its queue keeps what is published."""
    folder = stage.system.directory / "consumer"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with following(folder, stage.broker.broker.amqp_url) as follower:
        follower.kill()
        yield follower


def catches_up(stage: Stage, follower: Follower, within_seconds: float) -> bool:
    """Let it consume, and tell whether its copy comes to equal the book."""
    follower.start()
    database = Database.from_url(stage.direct_database_url)
    tenant_id = stage.control.tenant_id

    def equal() -> bool:
        return follower.copy_of(tenant_id) == visible_book(database, tenant_id)

    try:
        return eventually(equal, within_seconds=within_seconds, what="a copy that equals the book")
    except AssertionError:
        return False
    finally:
        database.close()
        follower.kill()
