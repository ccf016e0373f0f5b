"""A reading tells the latest value, never an old one, and outlives whatever goes wrong."""

import threading
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from common.errors import DatabaseUnavailableError
from tests.support.eventually import eventually
from worker import reading
from worker.reading import STALE_SECONDS, Reading


class Source:
    """Something that is read: gives what the test says."""

    def __init__(self, *answers: int | Exception) -> None:
        self._answers: Iterator[int | Exception] = iter(answers)

    def read(self) -> int:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_before_the_first_reading_there_is_nothing_to_tell() -> None:
    assert Reading("source", Source().read).latest() is None


def test_the_latest_value_is_told() -> None:
    found = Reading("source", Source(1, 2).read)
    found.refresh()
    assert found.latest() == 1
    found.refresh()
    assert found.latest() == 2


@pytest.mark.parametrize("error", [DatabaseUnavailableError("The database failed."), RuntimeError("a defect")])
def test_after_a_failure_the_old_value_is_told_no_longer(error: Exception) -> None:
    found = Reading("source", Source(1, error, 3).read)
    found.refresh()
    found.refresh()
    assert found.latest() is None
    found.refresh()
    assert found.latest() == 3


def test_a_value_becomes_stale_while_whoever_is_read_hangs() -> None:
    now = 0.0
    found = Reading("source", Source(1).read, clock=lambda: now)
    found.refresh()
    now = STALE_SECONDS
    assert found.latest() == 1
    now = STALE_SECONDS + 0.1
    assert found.latest() is None


def test_the_same_trouble_is_said_once_until_it_is_over() -> None:
    away = DatabaseUnavailableError("The database failed.")
    found = Reading("source", Source(away, away, 1, away).read)
    with capture_logs() as lines:
        for _ in range(4):
            found.refresh()
    assert [line["error"] for line in lines] == ["The database failed."] * 2


def test_it_reads_again_and_again_on_its_thread_and_closes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "EVERY_SECONDS", 0.01)
    threads: list[threading.Thread] = []
    closed: list[threading.Thread] = []

    def noting(where: list[threading.Thread]) -> Callable[[], None]:
        return lambda: where.append(threading.current_thread())

    found = Reading("source", noting(threads), close=noting(closed))
    found.start()
    eventually(lambda: len(threads) >= 3, what="three readings")
    found.stop()
    assert set(threads) == set(closed)
    assert len(closed) == 1
    assert threading.current_thread() not in threads
