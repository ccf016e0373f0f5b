"""The webhook as it runs in production: gunicorn, two processes, TLS, a real broker."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
import requests

from common import config, topology
from common.client_state import ClientStates
from common.messages import Stream, decode_lifecycle, decode_request
from tests.support.eventually import eventually
from tests.support.mortal_broker import MortalBroker
from tests.support.notifications import SECRET_KEY, TENANT, change, guid, lifecycle
from tests.support.webhook_process import Authority

pytestmark = pytest.mark.system

NOTIFICATIONS, LIFECYCLE = "/graph/notifications", "/graph/lifecycle"
STATES = ClientStates.from_settings(config.load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY}))

Start = Callable[..., Any]


def message_in(amqp_url: str, queue: str) -> tuple[Any, Any, bytes]:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        found: tuple[Any, Any, bytes] = connection.channel().basic_get(queue, auto_ack=True)
        return found


def raw(webhook: Any, trusting: ssl.SSLContext, sent: bytes) -> Iterator[bytes]:
    """Send bytes as they are, and yield what comes back until the other side closes."""
    address = urlsplit(webhook.url)
    with (
        socket.create_connection((address.hostname, address.port), timeout=60) as plain,
        trusting.wrap_socket(plain, server_hostname=address.hostname) as connection,
    ):
        connection.sendall(sent)
        while received := connection.recv(65_536):
            yield received


def test_a_post_that_was_answered_with_202_is_in_the_queue(start_webhook: Start, amqp_url: str) -> None:
    webhook = start_webhook(amqp_url)
    item = change(STATES, Stream.GROUPS, object_id=(object_id := guid()))
    answer = webhook.post(NOTIFICATIONS, json={"value": [item]})
    assert (answer.status_code, answer.content) == (202, b"")

    method, properties, body = message_in(amqp_url, topology.REQUESTS)
    assert decode_request(body).object_ids == (object_id,)
    assert (method.exchange, method.routing_key) == ("sync", "request.groups")
    assert (properties.type, properties.delivery_mode, properties.app_id) == ("sync_request", 2, "webhook")
    assert properties.headers.items() >= {"x-tenant": TENANT, "x-stream": "groups"}.items()

    assert webhook.post(LIFECYCLE, json={"value": [lifecycle(STATES, Stream.USERS, "missed")]}).status_code == 202
    _, properties, body = message_in(amqp_url, topology.LIFECYCLE)
    assert (properties.type, decode_lifecycle(body).event) == ("lifecycle", "missed")


@pytest.mark.parametrize(
    ("query", "token"),
    [
        (
            "validationToken=Validation%3a+Testing+client+application+reachability+for+subscription+Request-Id%3a+7",
            b"Validation: Testing client application reachability for subscription Request-Id: 7",
        ),
        ("x=1&validationToken=a%2Bb%25c%26d%252B", b"a+b%c&d%2B"),
    ],
)
def test_a_handshake_is_answered_without_a_broker(idle_webhook: Any, query: str, token: bytes) -> None:
    webhook = idle_webhook
    for path in (NOTIFICATIONS, LIFECYCLE):
        answer = webhook.post(f"{path}?{query}", headers={"Content-Type": "text/plain; charset=utf-8"})
        assert (answer.status_code, answer.content) == (200, token)
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert webhook.get("/health/ready").status_code == 503
    assert token.decode() not in webhook.log.read_text()


def test_a_killed_broker_means_503_and_a_revived_one_202_without_a_restart(
    start_webhook: Start, mortal_broker: MortalBroker
) -> None:
    # The client waits for two seconds at most, so that every answer below is one that came in time.
    webhook = start_webhook(mortal_broker.broker.amqp_url)

    def post(_: object = None) -> requests.Response:
        answer: requests.Response = webhook.post(NOTIFICATIONS, json={"value": [change(STATES, Stream.USERS)]})
        return answer

    assert post().status_code == 202
    mortal_broker.kill()
    for _ in range(5):
        answer = post()
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
    with ThreadPoolExecutor(4) as pool:
        assert {answer.status_code for answer in pool.map(post, range(12))} == {503}
    assert webhook.get("/health/live").status_code == 200

    mortal_broker.revive()
    # Both processes find their way back by themselves.
    eventually(lambda: all(post().status_code == 202 for _ in range(8)))
    assert webhook.process.poll() is None


def test_sigterm_ends_it_cleanly_and_tidily(start_webhook: Start, amqp_url: str, tmp_path: Path) -> None:
    webhook = start_webhook(amqp_url)
    assert list(tmp_path.glob("entra-sms-webhook-*"))
    assert webhook.post(NOTIFICATIONS, json={"value": [change(STATES, Stream.USERS)]}).status_code == 202
    assert webhook.terminate() == 0
    actions = [json.loads(line)["action"] for line in webhook.log.read_text().splitlines()]
    assert actions[0] == "webhook_started"
    assert actions[-1] == "webhook_stopped"
    assert not list(tmp_path.glob("entra-sms-webhook-*"))


def test_a_hangup_makes_it_read_its_files_again(start_webhook: Start, amqp_url: str, tmp_path: Path) -> None:
    previous = tmp_path / "previous-key"
    previous.touch()
    webhook = start_webhook(amqp_url, ENTRA_SMS_SECRET_KEY_PREVIOUS_FILE=str(previous))
    old_key = "the-key-before-the-rotation-0123456789"
    item = change(ClientStates.from_settings(config.load({"ENTRA_SMS_SECRET_KEY": old_key})), Stream.USERS)

    def arrives() -> bool:
        assert webhook.post(NOTIFICATIONS, json={"value": [item]}).status_code == 202
        webhook.session.close()  # the next one may then reach another process
        return message_in(amqp_url, topology.REQUESTS)[0] is not None

    assert webhook.post(NOTIFICATIONS, json={"value": [change(STATES, Stream.USERS)]}).status_code == 202
    assert message_in(amqp_url, topology.REQUESTS)[0] is not None
    assert not arrives()
    previous.write_text(old_key)
    webhook.process.send_signal(signal.SIGHUP)
    eventually(arrives, despite=(AssertionError, requests.RequestException))
    assert webhook.metrics()['entra_sms_webhook_items_total{outcome="wrong_client_state"}'] >= 1
    assert webhook.terminate() == 0


def test_the_metrics_are_the_sum_of_all_processes_also_of_one_that_died(start_webhook: Start, amqp_url: str) -> None:
    webhook = start_webhook(amqp_url)
    good = change(STATES, Stream.USERS)

    def post_ten_times() -> bool:
        """Over a new connection each time, so that both processes get some."""
        address, bundle = f"{webhook.url}{NOTIFICATIONS}", str(webhook.bundle)
        body = {"value": [good, 7]}
        return all(requests.post(address, json=body, verify=bundle, timeout=10).ok for _ in range(10))

    assert post_ten_times()
    children = Path(f"/proc/{webhook.process.pid}/task/{webhook.process.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[0]), signal.SIGKILL)
    eventually(post_ten_times, despite=(requests.RequestException,))

    counted = webhook.metrics()
    assert counted['entra_sms_webhook_items_total{outcome="queued"}'] >= 20
    assert counted['entra_sms_webhook_items_total{outcome="bad_item"}'] >= 20
    assert counted["entra_sms_webhook_publish_seconds_count"] >= 20


def test_a_chunked_body_above_the_limit_is_refused_and_one_below_is_taken(idle_webhook: Any) -> None:
    webhook = idle_webhook

    def chunks(count: int) -> Iterator[bytes]:
        yield b'{"value":[]}'
        for _ in range(count):
            yield b" " * 65_536

    headers = {"Content-Type": "application/json"}
    assert webhook.post(NOTIFICATIONS, data=chunks(10), headers=headers).status_code == 202
    assert webhook.post(NOTIFICATIONS, data=chunks(17), headers=headers).status_code == 413


MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "a bad header": b"POST /graph/notifications HTTP/1.1\r\nHost: a\r\nX y: secret-word\r\n\r\n",
    "a long line": b"POST /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a bad chunk": b"POST /graph/notifications HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nsecret-word\r\n",
    "raw bytes in the query": b"POST /graph/notifications?x=\xff\xfe HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
    b"Content-Type: application/json\r\nConnection: close\r\n\r\n",
}


@pytest.mark.parametrize("what", list(MALFORMED))
def test_malformed_http_is_answered_with_400_and_no_detail(
    idle_webhook: Any, trusting: ssl.SSLContext, what: str
) -> None:
    webhook = idle_webhook
    answer = b"".join(raw(webhook, trusting, MALFORMED[what]))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'{"error": "Bad Request"}' in answer
    for word in (b"gunicorn", b"secret-word", b"Invalid"):
        assert word not in answer
    assert "secret-word" not in webhook.log.read_text()


def test_no_answer_names_the_software(idle_webhook: Any) -> None:
    for answer in (idle_webhook.get("/nowhere"), idle_webhook.get(NOTIFICATIONS), idle_webhook.get("/health/live")):
        assert answer.headers["Server"] == "webhook"
        assert not {"gunicorn", "werkzeug", "python"} & set(str(answer.headers).lower().replace("/", " ").split())


def test_slow_clients_are_cut_and_do_not_keep_the_threads(
    start_webhook: Start, unused_amqp_url: str, trusting: ssl.SSLContext
) -> None:
    webhook = start_webhook(
        unused_amqp_url, ENTRA_SMS_WEBHOOK_PROCESSES="1", ENTRA_SMS_WEBHOOK_THREADS="2", ENTRA_SMS_METRICS_BIND=""
    )
    beginning = b"POST /graph/notifications HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(lambda: b"".join(raw(webhook, trusting, beginning))) for _ in range(2)]
        eventually(lambda: webhook.get("/health/live").ok, despite=(requests.RequestException,), within_seconds=60)
        assert [one.result() for one in slow] == [b"", b""]
    assert "slow_client_cut" in webhook.log.read_text()


UNFINISHED = {
    "nothing at all": None,
    "TLS and nothing more": b"",
    "half a line": b"POST /graph/noti",
    "no end of the headers": b"POST /graph/notifications HTTP/1.1\r\nHost: a\r\n",
    "half a body": b"POST /graph/notifications HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
    "half a chunked body": b"POST /graph/notifications HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{",
}


@pytest.mark.parametrize("what", list(UNFINISHED))
def test_clients_that_do_not_finish_keep_no_thread(
    start_webhook: Start, unused_amqp_url: str, trusting: ssl.SSLContext, what: str
) -> None:
    webhook = start_webhook(
        unused_amqp_url, ENTRA_SMS_WEBHOOK_PROCESSES="1", ENTRA_SMS_WEBHOOK_THREADS="2", ENTRA_SMS_METRICS_BIND=""
    )
    address = urlsplit(webhook.url)
    sent = UNFINISHED[what]
    with ExitStack() as slow:
        for _ in range(12):
            client = slow.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))
            if sent is not None:
                tls = slow.enter_context(trusting.wrap_socket(client, server_hostname=address.hostname))
                tls.sendall(sent)
        webhook.session.close()
        assert webhook.get("/health/live").ok  # whose client waits for two seconds at most


def test_certificate_and_key_are_read_once_and_not_for_each_connection(
    start_webhook: Start, unused_amqp_url: str, authority: Authority, tmp_path: Path
) -> None:
    key = tmp_path / "own.key"
    key.write_bytes(authority.key.read_bytes())
    webhook = start_webhook(
        unused_amqp_url, ENTRA_SMS_WEBHOOK_TLS_KEY=str(key), ENTRA_SMS_WEBHOOK_PROCESSES="1", ENTRA_SMS_METRICS_BIND=""
    )
    key.unlink()
    webhook.session.close()
    assert webhook.get("/health/live").ok


# What cannot work ends it at once, with a sentence


WRONG_SETTINGS = {
    "a name that is no setting": ({"ENTRA_SMS_SECRET_KEYS": "x"}, "ENTRA_SMS_SECRET_KEYS is no setting."),
    "no server key": ({"ENTRA_SMS_SECRET_KEY": ""}, "ENTRA_SMS_SECRET_KEY is not set."),
    "no broker address": ({"ENTRA_SMS_AMQP_URL": "http://x"}, "ENTRA_SMS_AMQP_URL is no AMQP address"),
    "no port": ({"ENTRA_SMS_WEBHOOK_BIND": "127.0.0.1"}, "ENTRA_SMS_WEBHOOK_BIND: must be an address and a port"),
    "a foreign address": ({"ENTRA_SMS_WEBHOOK_BIND": "192.0.2.1:80"}, "ENTRA_SMS_WEBHOOK_BIND: cannot listen on"),
    "a foreign address of metrics": (
        {"ENTRA_SMS_METRICS_BIND": "192.0.2.1:80"},
        "ENTRA_SMS_METRICS_BIND: cannot listen",
    ),
    "a key that is none": ({"ENTRA_SMS_WEBHOOK_TLS_KEY": __file__}, "cannot be used together"),
}


@pytest.mark.parametrize("what", list(WRONG_SETTINGS))
def test_settings_that_cannot_work_end_it_at_once_with_a_sentence(
    ended_webhook: Callable[..., tuple[int, str]], what: str
) -> None:
    settings, sentence = WRONG_SETTINGS[what]
    status, said = ended_webhook(**settings)
    assert status == 1
    assert sentence in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1


def test_a_port_that_is_taken_ends_it_at_once_even_by_another_webhook(
    idle_webhook: Any, ended_webhook: Callable[..., tuple[int, str]]
) -> None:
    status, said = ended_webhook(ENTRA_SMS_WEBHOOK_BIND=idle_webhook.url.removeprefix("https://"))
    assert (status, "Address already in use" in said, len(said.splitlines())) == (1, True, 1)
    assert idle_webhook.get("/health/live").ok
