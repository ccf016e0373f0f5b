"""A file is there whole or not at all, and its owner's alone."""

import os
from pathlib import Path

import pytest

from console.exits import ConsoleError
from console.whole_file import whole_file


def test_a_file_is_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("before")
    path.chmod(0o644)

    with whole_file(path) as file:
        file.write("Łukasz\r\n")
        file.flush()
        assert path.read_text() == "before"

    assert path.read_bytes() == "Łukasz\r\n".encode()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_breaks_off_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("before")

    def break_off() -> None:
        with whole_file(path) as file:
            file.write("half")
            file.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    path, link = tmp_path / "people.csv", tmp_path / "latest.csv"
    link.symlink_to(path)

    with whole_file(link) as file:
        file.write("whole")

    assert link.is_symlink()
    assert path.read_text() == "whole"


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(ConsoleError, match="is not a file"), whole_file(pipe):
        pytest.fail("it was opened")
    assert pipe.is_fifo()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "people.csv"

    with pytest.raises(ConsoleError, match=r"none/people\.csv cannot be written: No such file"), whole_file(missing):
        pytest.fail("it was opened")
