"""Objects that are read themselves: Graph's reads lag behind its writes, and must not undo what delta told since."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from common.db.tables import rechecks
from common.messages import Reason, Stream
from tests.support.model import Model, stage


@pytest.fixture
def model(sqlite_url: str, tmp_path: Path) -> Iterator[Model]:
    with stage(sqlite_url, tmp_path / "authority") as made:
        found = made.model()
        for stream in Stream:
            look(found, stream)
        yield found


def look(model: Model, stream: Stream) -> None:
    model.turn(model.workers[0], [model.request(stream, Reason.POLL)])


def change(model: Model, **values: Any) -> None:
    model.directory.update("user", model.users()[0], values)


def test_a_read_that_is_older_than_the_last_change_of_a_person_does_not_last(model: Model) -> None:
    model.tenant.faults.turn({"delta_sparse_updates": 1.0, "read_lag_seconds": 10.0})
    change(model, givenName="First")
    look(model, Stream.USERS)
    model.clock.seconds += 14
    change(model, surname="Second")
    look(model, Stream.USERS)
    model.clock.seconds += 2
    look(model, Stream.USERS)
    model.settle()
    model.compare()


def test_a_list_of_members_that_is_older_than_the_last_change_does_not_last(model: Model) -> None:
    model.tenant.faults.turn({"read_lag_seconds": 10.0})
    [former] = model.groups("deleted")
    model.directory.restore("group", former)
    look(model, Stream.GROUPS)
    model.clock.seconds += 12
    model.directory.remove_member(former, next(iter(model.truth.members[former])))
    look(model, Stream.GROUPS)
    model.clock.seconds += 4
    look(model, Stream.GROUPS)
    model.settle()
    model.compare()


def test_what_becomes_doubtful_again_is_read_after_that(model: Model) -> None:
    model.tenant.faults.turn({"delta_sparse_updates": 1.0, "read_lag_seconds": 10.0})
    change(model, givenName="First")
    look(model, Stream.USERS)
    first = due(model)
    model.clock.seconds += 14
    change(model, surname="Second")
    look(model, Stream.USERS)
    assert due(model) > first


def due(model: Model) -> Any:
    with model.database.read() as connection:
        return connection.scalar(select(rechecks.c.due_at))
