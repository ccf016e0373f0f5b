"""Log lines: one JSON object a line, whichever thread or library writes it."""

import json
import logging as standard
import threading
from collections.abc import Iterator

import pytest
import structlog

from common import config, logging


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = standard.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_has_its_action_its_level_its_time_and_its_process(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure(config.load({}), "worker")
    logging.get("area").info("round_ended", tenant="t", pages=3)
    [line] = lines(capsys)
    assert str(line.pop("at")).endswith("Z")
    assert line == {"action": "round_ended", "level": "info", "process": "worker", "tenant": "t", "pages": 3}


def test_lines_of_other_threads_and_libraries_name_the_process_too(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure(config.load({}), "worker")
    thread = threading.Thread(target=lambda: logging.get("area").warning("from_a_thread"))
    thread.start()
    thread.join()
    standard.getLogger("some.library").warning("it said %s", "so")
    ours, theirs = lines(capsys)
    assert (ours["action"], ours["process"]) == ("from_a_thread", "worker")
    assert (theirs["action"], theirs["process"], theirs["level"]) == ("it said so", "worker", "warning")


def test_an_exception_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure(config.load({}), "worker")
    try:
        raise KeyError("x")
    except KeyError:
        logging.get("area").exception("failed")
    [line] = lines(capsys)
    assert "KeyError" in str(line["exception"])


def test_the_level_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure(config.load({"ENTRA_SMS_LOG_LEVEL": "warning"}), "worker")
    logging.get("area").info("unheard")
    logging.get("area").error("heard")
    assert [line["action"] for line in lines(capsys)] == ["heard"]


def test_as_text_it_reads_along_also_with_an_exception(capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure(config.load({"ENTRA_SMS_LOG_FORMAT": "text"}), "worker")
    try:
        raise KeyError("x")
    except KeyError:
        logging.get("area").exception("failed", tenant="t")
    said = capsys.readouterr().err
    assert "failed" in said
    assert "tenant=t" in said
    assert "KeyError" in said


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_traceback_shows_no_values_of_variables(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    logging.configure(config.load({"ENTRA_SMS_LOG_FORMAT": log_format}), "worker")

    def fail(client_secret: str) -> None:
        raise KeyError(len(client_secret))

    try:
        fail("".join(["hush", "hush"]))
    except KeyError:
        logging.get("area").exception("failed")
    assert "hushhush" not in capsys.readouterr().err
