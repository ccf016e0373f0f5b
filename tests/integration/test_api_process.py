"""`entra-sms serve` as a process: it answers, stays within its limits, says nothing of people, and ends cleanly."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Connection, text

from common.db.engine import Database
from console.api import reading, server
from deploy.local import packages
from tests.support.api import ApiProcess, api_in_process, make_key, running_api, start_api, with_key
from tests.support.book import SECRET_KEY, Book, book, guid
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, address_of, through
from tests.support.pen import Pen, group, member, person

ROOT = Path(__file__).parents[2]
ANNA, SALES = guid("anna"), guid("sales")
PERSONAL = ("Zdzisława", "Szymańska", "+48601234567", "601 234 567", "zdzislawa@contoso.example", "Sales-Team-Marked")


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    with book(database_url) as made:
        fill(made)
        yield made


def fill(made: Book) -> None:
    pen = Pen(made)
    pen.users(
        person(
            ANNA,
            displayName="Zdzisława Szymańska",
            givenName="Zdzisława",
            surname="Szymańska",
            mobilePhone="601 234 567",
            mail="zdzislawa@contoso.example",
        )
    )
    pen.groups(group(SALES, member(ANNA), name="Sales-Team-Marked"))


@pytest.fixture
def api(contoso: Book, database_url: str, tmp_path: Path) -> Iterator[ApiProcess]:
    with running_api(database_url, tmp_path) as made:
        yield made


def log_of(api: ApiProcess) -> list[dict[str, object]]:
    return [json.loads(line) for line in api.log.read_text().splitlines()]


def test_everything_is_answered_and_the_log_tells_no_secret_and_nothing_of_anybody(
    contoso: Book, api: ApiProcess
) -> None:
    key = make_key(contoso.database, contoso.tenant_id)
    mine = f"/v1/tenants/{contoso.tenant_id}"
    asked = [
        "/v1/tenants",
        mine,
        f"{mine}/contacts?search=Szyma%C5%84ska",
        f"{mine}/contacts?phone=%2B48601234567&mail=zdzislawa@contoso.example",
        f"{mine}/contacts/{ANNA}",
        f"{mine}/groups?search=Sales-Team-Marked",
        f"{mine}/groups/{SALES}",
        f"{mine}/groups/{SALES}/members",
        f"{mine}/recipients?group={SALES}",
        f"{mine}/recipients/count?group={SALES}",
        *(f"{mine}/reports/{name}" for name in ("missing", "invalid", "shared", "not-mobile")),
        f"{mine}/changes",
        "/openapi.json",
    ]
    answers = [api.get(path, key) for path in asked]
    assert [one.status_code for one in answers] == [200] * len(asked)
    assert all(one.headers["ETag"] for one in answers)
    everything = "".join(one.text for one in answers)
    assert [one for one in PERSONAL if one not in everything] == [], "this test asks for what must not be in the log"
    refused = [
        f"{mine}/contacts?zdzislawa@contoso.example=1",
        f"{mine}/contacts?phone=%2B48601234567&phone=601",
        f"{mine}/Szyma%C5%84ska",
        "/Sales-Team-Marked",
    ]
    assert {api.get(path, key).status_code for path in refused} == {400, 404}
    assert api.get("/v1/tenants", f"{key}0").status_code == 401
    assert api.stop() == 0

    written = api.log.read_text()
    assert [one for one in (*PERSONAL, key, key.rpartition("_")[2], "Szyma", "phone") if one in written] == []
    lines = [one for one in log_of(api) if one["action"] == "request"]
    assert len(lines) == len(asked) + len(refused) + 1
    last = next(one for one in lines if str(one["route"]).endswith("/changes"))
    assert last.items() >= {"method": "GET", "tenant": contoso.tenant_id, "key": key[5:17], "status": 200}.items()


def test_the_database_refuses_what_a_defect_would_write(
    contoso: Book, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = reading.begin

    def writes(connection: Connection, *arguments: object) -> object:
        begin(connection, *arguments)  # type: ignore[arg-type]
        return connection.execute(text("DELETE FROM contacts"))

    monkeypatch.setattr(reading, "begin", writes)
    with api_in_process(database_url, contoso.tenant_id) as api:
        assert api.get("/v1/tenants").status_code == 503
    with contoso.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM contacts")).scalar_one() == 1


def test_health_needs_no_key_and_says_whether_the_database_can_be_read(api: ApiProcess) -> None:
    assert api.get("/health/live").json() == {"status": "live"}
    assert api.get("/health/ready").json() == {"status": "ready"}


def test_a_database_that_is_away_is_waited_for_and_a_problem_meanwhile(postgresql_url: str, tmp_path: Path) -> None:
    with book(postgresql_url) as made, FaultProxy(address_of(postgresql_url)) as proxy:
        key = make_key(made.database, made.tenant_id)
        with running_api(through(proxy, postgresql_url), tmp_path) as api:
            assert api.get("/v1/tenants", key).status_code == 200
            with proxy.firing("cut"), proxy.firing("refused"):
                proxy.cut()
                away = api.get("/v1/tenants", key)
                assert api.get("/health/ready").status_code == 503
            assert (away.status_code, away.json()["type"]) == (503, "urn:entra-sms:unavailable")
            assert int(away.headers["Retry-After"]) > 0
            assert str(proxy.address[1]) not in away.text
            assert api.get("/health/live").status_code == 200
            proxy.restore()
            eventually(lambda: api.get("/v1/tenants", key).status_code == 200, what="an answer again")
            assert api.get("/health/ready").status_code == 200


def test_it_makes_no_database_and_is_not_ready_without_one(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite"
    with running_api(f"sqlite:///{path}", tmp_path) as api:
        assert api.get("/health/ready").status_code == 503
        assert api.get("/v1/tenants", "esms_" + "0" * 12 + "_" + "0" * 64).status_code == 503
    assert not path.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_finished_before_the_end(
    postgresql_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    with book(postgresql_url) as made, running_api(postgresql_url, tmp_path) as api:
        fill(made)
        key = make_key(made.database, made.tenant_id)
        with ThreadPoolExecutor() as pool:
            with made.database.write() as connection:
                connection.execute(text("LOCK TABLE contacts"))
                waiting = pool.submit(api.get, f"/v1/tenants/{made.tenant_id}/contacts", key)
                eventually(lambda: _waits_for_the_lock(made.database), what="a request that waits for the database")
                api.process.send_signal(number)
                eventually(lambda: not _listens(api.url), what="no further connection is taken")
                assert api.process.poll() is None
                assert not waiting.done()
            assert waiting.result().json()["items"][0]["object_id"] == ANNA
        assert api.process.wait(60) == 0
    assert [one["action"] for one in log_of(api)][-2:] == ["request", "api_stopped"]


def _waits_for_the_lock(database: Database) -> bool:
    with database.read() as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FROM contacts%'"
        )
        return bool(connection.execute(text(waiting)).scalar_one())


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((str(parts.hostname), parts.port or 0), timeout=5).close()
    except OSError:
        return False
    return True


def test_a_port_that_is_taken_ends_it_with_a_sentence(api: ApiProcess, database_url: str, tmp_path: Path) -> None:
    log = tmp_path / "second.log"
    bind = urlsplit(api.url).netloc
    second = start_api(database_url, log, "--bind", bind)
    assert second.wait(60) == 2
    host, port = bind.split(":")
    assert log.read_text() == (
        f"Error: ENTRA_SMS_API_BIND: cannot listen on {host}, port {port}: Address already in use.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bind", "nonsense"), "ENTRA_SMS_API_BIND: must be an address and a port"),
        (("--threads", "0"), "ENTRA_SMS_API_THREADS: "),
        (("--threads", "41"), "ENTRA_SMS_API_THREADS: "),
    ],
)
def test_options_that_cannot_work_are_refused(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    log = tmp_path / "refused.log"
    assert start_api("sqlite:///nowhere.sqlite", log, *arguments).wait(60) == 2
    assert words in log.read_text()


def test_beyond_loopback_the_log_warns(database_url: str, tmp_path: Path, unused_port: int) -> None:
    log = tmp_path / "open.log"
    process = start_api(database_url, log, "--bind", f"0.0.0.0:{unused_port}")
    try:
        eventually(lambda: "api_started" in log.read_text(), what="the start")
    finally:
        process.kill()
        process.wait()
    assert "reachable_without_tls" in log.read_text()


def exchange(api: ApiProcess, sent: bytes) -> bytes:
    """Send bytes as they are; all that is answered until the connection is closed."""
    parts = urlsplit(api.url)
    with closing(socket.create_connection((str(parts.hostname), parts.port or 0), timeout=60)) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65_536):
            received += part
    return received


def test_what_a_client_may_send_is_limited(api: ApiProcess) -> None:
    limit = server.HEADER_BYTES
    line = b"GET /v1/tenants?%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * limit)
    assert b" 414 " in exchange(api, line).partition(b"\r\n")[0]
    header = b"GET /v1/tenants HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n" % (b"a" * limit)
    assert b" 413 " in exchange(api, header).partition(b"\r\n")[0]
    head = b"GET /v1/tenants HTTP/1.1\r\nHost: x\r\n"
    small = exchange(api, head + b"Content-Length: 3\r\n\r\nabcGET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 413 " in small.partition(b"\r\n")[0]
    assert b"urn:entra-sms:body-refused" in small
    assert small.count(b"HTTP/1.1") == 1, "the rest of the body is taken for no request"
    chunked = exchange(api, head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert b" 413 " in chunked.partition(b"\r\n")[0]
    large = exchange(api, head + b"Content-Length: %d\r\n\r\n" % (server.BODY_BYTES + 1))
    assert b" 413 " in large.partition(b"\r\n")[0]
    assert b" 400 " in exchange(api, b"nonsense\r\n\r\n").partition(b"\r\n")[0]
    assert api.get("/health/live").status_code == 200


def test_the_lines_of_the_documentation_work_as_they_stand(
    contoso: Book, api: ApiProcess, database_url: str, tmp_path: Path
) -> None:
    contoso.group("Sales")
    document = (ROOT / "docs" / "http-api.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", document, re.DOTALL)
    assert blocks.pop(0) == "entra-sms serve\n"
    script = "set -eu\n" + "".join(blocks).replace("http://127.0.0.1:8720", api.url)
    assert script.count(api.url) == 3
    curl = packages.ensure(packages.CURL)
    environment = {
        **curl.environment(),
        "PATH": f"{Path(sys.executable).parent}:{curl.find('usr/bin/curl').parent}:{os.environ['PATH']}",
        "ENTRA_SMS_DATABASE_URL": database_url,
        "ENTRA_SMS_SECRET_KEY": SECRET_KEY,
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 12
    assert all("items" in one or "name" in one or "people" in one for one in told)
    asked = [one for one in log_of(api) if one["action"] == "request"]
    assert [one["status"] for one in asked] == [200] * (len(asked) - 1) + [304]


def test_a_client_may_keep_its_connection(contoso: Book, api: ApiProcess) -> None:
    key = make_key(contoso.database, contoso.tenant_id)
    request = "GET /v1/tenants HTTP/1.1\r\nHost: x\r\n" + "".join(f"{a}: {b}\r\n" for a, b in with_key(key).items())
    received = exchange(api, f"{request}\r\n".encode() * 3)
    assert received.count(b"HTTP/1.1 200 OK") == 3
