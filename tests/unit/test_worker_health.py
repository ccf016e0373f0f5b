"""What a worker answers when it is asked whether it lives and whether it is ready."""

import threading
from collections.abc import Iterator

import pytest

from worker.health import Health


@pytest.fixture
def thread() -> Iterator[threading.Thread]:
    """A thread that lives as long as the test."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield thread
    end.set()
    thread.join()


def health(*, broker: bool = True, database: bool = True) -> Health:
    return Health(is_connected=lambda: broker, database_answers=lambda: database)


def test_before_it_has_started_it_lives_and_is_not_ready() -> None:
    found = health()
    assert (found.live(), found.ready()) == (None, "starting")


def test_with_all_threads_broker_and_database_it_lives_and_is_ready(thread: threading.Thread) -> None:
    found = health()
    found.started([thread, lambda: True])
    assert (found.live(), found.ready()) == (None, None)


@pytest.mark.parametrize(
    ("broker", "database", "trouble"), [(False, True, "broker away"), (True, False, "database away")]
)
def test_without_broker_or_database_it_lives_and_is_not_ready(broker: bool, database: bool, trouble: str) -> None:
    found = health(broker=broker, database=database)
    found.started([])
    assert (found.live(), found.ready()) == (None, trouble)


def test_when_one_of_its_threads_has_ended_it_lives_no_more(thread: threading.Thread) -> None:
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    found = health()
    found.started([thread, ended])
    assert found.live() == "a thread ended"
    found = health()
    found.started([thread, lambda: False])
    assert found.live() == "a thread ended"


def test_while_it_stops_its_threads_may_end() -> None:
    found = health()
    found.started([lambda: False])
    found.stopping()
    assert (found.live(), found.ready()) == (None, "stopping")
