"""The consumer of docs/events.md, after whatever has happened: it ends with the visible book."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from common.db.engine import Database
from common.db.tables import changes
from common.db.tenants import RemovalLimit
from tests.support.book import guid
from tests.support.eventually import eventually
from tests.support.feed_scene import Scene, feed_scene
from tests.support.follower import following, visible_book
from tests.support.pen import gone, group, member, person

NUMBER = "+48 601 234 567"


@pytest.fixture
def scene(database_url: str, amqp_url: str) -> Iterator[Scene]:
    with feed_scene(database_url, amqp_url) as made:
        yield made


class History:
    """People and groups come, change, join, leave, go and come back; which ones is drawn at random."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.draw = random.Random(seed)
        self._pen = scene.pen
        self._pen.removal_limit = RemovalLimit(10_000, 100)
        self._people = [guid(f"person {number}") for number in range(8)]
        self._teams = [guid(f"team {number}") for number in range(5)]

    def step(self) -> None:
        draw, one, team = self.draw, self.draw.choice(self._people), self.draw.choice(self._teams)
        match draw.randrange(6):
            case 0:
                self._pen.users(gone(one))
            case 1 | 2:
                self._pen.users(person(one, displayName=f"Person {draw.randrange(100)}", mobilePhone=NUMBER))
            case 3:
                self._pen.groups(gone(team))
            case _:
                members = [(draw.choice(self._people), "user"), (draw.choice(self._teams), "group")]
                entries = [member(other, kind, **self._perhaps_removed()) for other, kind in members]
                self._pen.groups(group(team, *entries, name=f"Team {draw.randrange(100)}"))

    def _perhaps_removed(self) -> dict[str, Any]:
        return {"@removed": {"reason": "deleted"}} if self.draw.random() < 0.3 else {}


def forget_marks(database: Database, count: int) -> None:
    """As if a worker had died before it took away the marks of the latest `count` changes."""
    with database.write() as connection:
        last = select(func.max(changes.c.sequence)).scalar_subquery()
        connection.execute(update(changes).where(changes.c.sequence > last - count).values(unpublished=True))


@pytest.mark.parametrize("seed", range(3))
def test_the_documented_consumer_ends_with_the_visible_book_after_a_random_history(
    scene: Scene, tmp_path: Path, seed: int
) -> None:
    history = History(scene, seed)
    with following(tmp_path, scene.amqp_url) as follower:
        for _ in range(60):
            for _ in range(history.draw.randrange(4)):
                history.step()
            if history.draw.random() < 0.7:
                scene.feed.publish()
            if history.draw.random() < 0.2:
                forget_marks(scene.book.database, 10)
        while scene.feed.publish():
            pass
        expected = visible_book(scene.book.database, scene.book.tenant_id)

        def equal() -> bool:
            assert follower.copy_of(scene.book.tenant_id) == expected
            return True

        eventually(equal, what="a copy that equals the book")
    assert expected[2], "no membership was left to compare"
