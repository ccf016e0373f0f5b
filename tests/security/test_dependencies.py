"""What gets into the program from elsewhere is pinned, agrees with what is asked for, and can be audited."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy.local import pins
from deploy.local.audit import audit
from deploy.local.paths import ROOT
from deploy.local.pins import DEVELOPMENT, RUN_TIME


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The three files that have to agree."""
    for name in ("pyproject.toml", RUN_TIME, DEVELOPMENT):
        (tmp_path / name).write_text((ROOT / name).read_text())
    return tmp_path


def alter(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, file.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1, "nothing was altered"
    file.write_text(text)


def test_the_pins_agree_with_what_is_asked_for() -> None:
    assert pins.troubles() == []
    assert len(pins.pins(ROOT / RUN_TIME)) > 20


@pytest.mark.parametrize(
    ("name", "pattern", "replacement", "words"),
    [
        ("pyproject.toml", r'"flask>=3.1"', '"flask>=99"', "where pyproject.toml asks for flask>=99"),
        (
            "pyproject.toml",
            r'"flask>=3.1"',
            '"flask>=3.1", "left-pad"',
            "pins nothing where pyproject.toml asks for left-pad",
        ),
        (RUN_TIME, r"^flask==.*\\\n(    --hash.*\n)+", "flask==3.1.3\n", "requirements.txt pins flask without a hash"),
        (RUN_TIME, r"^flask==\S+", "flask==3.1.0", "requirements.txt pins flask 3.1.0, but requirements-dev.txt"),
        (DEVELOPMENT, r"^ruff==", "ruff>=", "requirements-dev.txt pins nothing where pyproject.toml asks for ruff"),
        (DEVELOPMENT, r"\A", "somewhere @ https://example.com/x.whl\n", "has lines that pin no version"),
        (RUN_TIME, r"\A", "--index-url https://example.com/\n", "has lines that pin no version"),
    ],
)
def test_a_pin_that_disagrees_is_named(copy: Path, name: str, pattern: str, replacement: str, words: str) -> None:
    alter(copy / name, pattern, replacement)
    assert [one for one in pins.troubles(copy) if words in one]


@contextmanager
def advisories(of_package: str | None) -> Iterator[tuple[str, list[Any]]]:
    """A service like OSV that knows one advisory; what it is asked for."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            asked.extend((one["package"]["name"], one["version"]) for one in queries)
            known = {"vulns": [{"id": "OSV-OF-THE-TEST", "modified": "2026-01-01T00:00:00Z"}]}
            self._answer({"results": [known if one["package"]["name"] == of_package else {} for one in queries]})

        def do_GET(self) -> None:
            if not self.path.startswith("/v1/vulns/"):
                self.send_error(404)  # the registry: it has nothing to say of any package
                return
            self._answer({"id": "OSV-OF-THE-TEST", "summary": "of the test", "modified": "2026-01-01T00:00:00Z"})

        def _answer(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest's output is for failures."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_audit_asks_for_exactly_the_pinned_versions_and_finds_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    pinned = pins.pins(ROOT / DEVELOPMENT)
    with advisories(None) as (url, asked):
        assert audit(pinned, url, f"{url}/simple") == 0
    assert set(asked) == {(pin.name, pin.version) for pin in pinned}


def test_the_audit_fails_and_names_what_is_known(capfd: pytest.CaptureFixture[str]) -> None:
    with advisories("flask") as (url, _):
        assert audit(pins.pins(ROOT / DEVELOPMENT), url, f"{url}/simple") != 0
    said = capfd.readouterr().out
    assert "OSV-OF-THE-TEST" in said
    assert "flask" in said


def test_an_audit_that_could_not_ask_does_not_pass(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    assert audit(pins.pins(ROOT / DEVELOPMENT)[:2], "http://127.0.0.1:9", "http://127.0.0.1:9/simple") != 0
