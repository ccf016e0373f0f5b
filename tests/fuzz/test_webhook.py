"""Whatever a stranger posts: an answer that tells nothing, and no message that was not proven."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app
from werkzeug.wrappers import Request

from common import config
from common.client_state import ClientStates
from common.messages import LifecycleNotice, Stream, SyncRequest, decode_lifecycle, decode_request
from tests.support.fuzzing import fuzz, known
from tests.support.hostile import damaged, jsons, texts, written
from tests.support.notifications import OTHER_TENANT, SECRET_KEY, change, lifecycle
from tests.support.recording_publisher import RecordingPublisher
from webhook.app import PATHS, create_app
from webhook.handshake import LONGEST_TOKEN_BYTES

SETTINGS = config.load({"ENTRA_SMS_SECRET_KEY": SECRET_KEY})
STATES = ClientStates.from_settings(SETTINGS)
NOW = datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)

ANSWERS = {
    202: b"",
    400: b'{"error": "Bad Request"}\n',
    404: b'{"error": "Not Found"}\n',
    405: b'{"error": "Method Not Allowed"}\n',
    413: b'{"error": "Request Entity Too Large"}\n',
    415: b'{"error": "Unsupported Media Type"}\n',
    503: b'{"error": "Service Unavailable"}\n',
}
"""All that is ever said to a stranger, apart from the echo of a handshake and the state of health."""

HEALTH = (b'{"status":"live"}\n', b'{"status":"ready"}\n')
HEADERS = {"Content-Type", "Content-Length", "X-Content-Type-Options", "Cache-Control", "Retry-After", "Allow"}

ITEMS = (
    change(STATES, Stream.USERS, object_id="3f0a0000-0000-4000-8000-000000000001"),
    change(STATES, Stream.GROUPS, object_id="ab120000-0000-4000-8000-000000000002"),
    change(STATES, Stream.USERS, tenant=OTHER_TENANT, object_id="3f0a0000-0000-4000-8000-000000000003"),
    lifecycle(STATES, Stream.USERS, "reauthorizationRequired"),
    lifecycle(STATES, Stream.GROUPS, "missed"),
    change(STATES, Stream.USERS, object_id="3f0a0000-0000-4000-8000-000000000004", clientState="forged"),
)
PROOFS = {item["clientState"]: (item["tenantId"], stream) for item, stream in zip(ITEMS, "ugu" + "ug", strict=False)}
STREAM_OF = {"u": Stream.USERS, "g": Stream.GROUPS}
COLLECTIONS = ({"value": list(ITEMS)}, {"value": [ITEMS[0]]}, {"value": [ITEMS[4]], "validationTokens": ["a.b.c"]})


class Stranger:
    """Posts to an application of its own and looks at what comes of it."""

    def __init__(self) -> None:
        self.publisher = RecordingPublisher()
        self.app = create_app(SETTINGS, self.publisher, clock=lambda: NOW)
        self._client = self.app.test_client()

    def post(self, body: bytes, content_type: str = "application/json") -> TestResponse:
        return self._client.post(PATHS[0], data=body, content_type=content_type)

    def send(self, environ: dict[str, Any]) -> TestResponse:
        return TestResponse(*run_wsgi_app(self.app, environ), request=Request(environ))

    def messages(self) -> list[SyncRequest | LifecycleNotice]:
        """What was published, read as the worker will read it."""
        return [
            decode_lifecycle(sent.body) if sent.type == "lifecycle" else decode_request(sent.body)
            for sent in self.publisher.sent
        ]

    def check(self, answer: TestResponse) -> None:
        """No defect, and nothing said that a stranger may not know."""
        failed = self.app.extensions["metrics"].registry.get_sample_value(
            "entra_sms_webhook_posts_total", {"outcome": "failed"}
        )
        assert not failed
        assert set(answer.headers.keys()) <= HEADERS
        if answer.status_code == 200:
            assert answer.mimetype == "text/plain" or answer.data in (*HEALTH, b"")  # to HEAD nothing is said
        elif answer.data:
            assert answer.data == ANSWERS[answer.status_code]


def proven(body: bytes) -> set[tuple[str, Stream]]:
    """The tenants and streams that the words in `body` prove, found without reading it as JSON."""
    return {(tenant, STREAM_OF[stream]) for state, (tenant, stream) in PROOFS.items() if state.encode() in body}


bodies = st.one_of(
    written(damaged(*COLLECTIONS)),
    written(jsons),
    written(st.builds(lambda items: {"value": items}, st.lists(damaged(*ITEMS) | jsons, max_size=5))),
    st.binary(max_size=200),
)


@fuzz()
@given(body=bodies)
@known(
    body=[
        b"",
        b"\xef\xbb\xbf" + json.dumps(COLLECTIONS[0]).encode(),
        b'{"value":[' * 3_000,
        b'{"value":[],"value":{}}',
        json.dumps({"value": [ITEMS[3] | {"lifecycleEvent": ["missed"]}]}).encode(),
        json.dumps({"value": [ITEMS[0] | {"clientState": "é.\x00" * 100}]}).encode(),
        json.dumps({"value": [ITEMS[0] | {"tenantId": OTHER_TENANT}]}).encode(),
        json.dumps({"value": [ITEMS[0] | {"resource": f"Groups/{OTHER_TENANT}"}]}).encode(),
    ]
)
def test_whatever_the_body_is_nothing_breaks_and_only_what_is_proven_is_published(body: bytes) -> None:
    stranger = Stranger()
    answer = stranger.post(body)
    stranger.check(answer)
    assert answer.status_code in (202, 400)
    assert answer.status_code == 202 or not stranger.publisher.sent
    assert {(message.tenant_id, message.stream) for message in stranger.messages()} <= proven(body)


@fuzz()
@given(others=st.lists(damaged(*ITEMS, most=2) | st.just(7), max_size=4), place=st.integers(0, 4))
def test_whatever_stands_beside_it_a_good_item_is_published(others: list[Any], place: int) -> None:
    good = change(STATES, Stream.USERS, object_id="3f0a0000-0000-4000-8000-0000000000ff")
    stranger = Stranger()
    items = [*others[:place], good, *others[place:]]
    body = json.dumps({"value": items}, allow_nan=True).encode(errors="surrogatepass")
    answer = stranger.post(body)
    stranger.check(answer)
    # A word that is no JSON spoils the whole body; items that are merely wrong spoil nobody else.
    unwritable = b"NaN" in body or b"Infinity" in body or b"\\ud" in body
    assert answer.status_code == 202 or unwritable
    if answer.status_code == 202:
        named = {
            one for message in stranger.messages() if isinstance(message, SyncRequest) for one in message.object_ids
        }
        assert good["resourceData"]["id"] in named


queries = st.one_of(
    st.text(alphabet="validationToken=&;%+0aF", max_size=60),
    st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")),
    texts.map(lambda text: "validationToken=" + text.encode(errors="surrogatepass").decode("latin-1")),
    st.sampled_from(
        [
            "validationToken",
            "validationtoken=a",
            "validationToken[]=a",
            "%76alidationToken=a",
            "validationToken=%",
            "validationToken=%zz%00%0d%0aX-Evil:%201",
            "validationToken=" + "%41" * 2_100,
            "=&&=&validationToken=a&",
        ]
    ),
)
methods = st.sampled_from(
    ["POST", "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post", "X-Y"]
)
paths = st.one_of(
    st.sampled_from([*PATHS, *PATHS, "/health/live", "/health/ready", "/", "", "//graph//notifications", "/static/x"]),
    st.sampled_from(PATHS).flatmap(
        lambda path: st.sampled_from([path + "/", path.upper(), path + "/..", path + "\x00"])
    ),
    texts.map(lambda text: "/" + text.encode(errors="surrogatepass").decode("latin-1")),
)
content_types = st.one_of(
    st.sampled_from(
        [
            "application/json",
            "APPLICATION/JSON ; charset=utf-16",
            "application/json;" + ";" * 500,
            'application/json; charset="',
            "application/json; a*0*=utf-8''%FF; a*1=\\",
            "application/problem+json",
            "multipart/form-data; boundary=x",
            "multipart/form-data",
            "application/x-www-form-urlencoded",
            "text/plain; charset=utf-8",
            "",
            "/",
        ]
    ),
    st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")),
)
HEADER_NAMES = (
    "HTTP_HOST", "HTTP_CONTENT_ENCODING", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_COOKIE", "HTTP_RANGE",
    "HTTP_AUTHORIZATION", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_HTTP_METHOD_OVERRIDE",
    "HTTP_IF_NONE_MATCH", "HTTP_ACCEPT", "HTTP_ORIGIN", "HTTP_CONTENT_LENGTH", "CONTENT_LENGTH",
)  # fmt: skip
headers = st.dictionaries(
    st.sampled_from(HEADER_NAMES),
    st.sampled_from(["gzip", "chunked", "-1", "0", "1e3", "9" * 40, "bytes=0-", "PUT", "a b", "[::1", "x:y", "", "*"])
    | st.binary(max_size=20).map(lambda raw: raw.decode("latin-1")),
    max_size=3,
)


class BrokenBody(BytesIO):
    """A body that breaks off: what servers raise then is their own affair."""

    def read(self, *_: object) -> NoReturn:
        raise self.error()

    readinto = read1 = readline = readlines = read

    error: Callable[[], Exception] = ConnectionResetError


def requested(
    method: str, path: str, query: str, content_type: str, more: dict[str, str], body: bytes
) -> dict[str, Any]:
    environ: dict[str, Any] = EnvironBuilder(method="POST", path=PATHS[0], data=body).get_environ()
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "CONTENT_TYPE": content_type}
    if "HTTP_TRANSFER_ENCODING" in more:
        environ["wsgi.input_terminated"] = True
    return environ | more


@fuzz()
@given(
    method=methods,
    path=paths,
    query=queries,
    content_type=content_types,
    more=headers,
    body=st.sampled_from([b"", json.dumps(COLLECTIONS[0]).encode()]) | st.binary(max_size=50),
)
def test_whatever_the_request_is_nothing_breaks_and_nothing_is_told(
    method: str, path: str, query: str, content_type: str, more: dict[str, str], body: bytes
) -> None:
    stranger = Stranger()
    answer = stranger.send(requested(method, path, query, content_type, more, body))
    stranger.check(answer)
    published = stranger.publisher.sent
    if published:
        assert (method, path in PATHS, answer.status_code) == ("POST", True, 202)
        assert {(message.tenant_id, message.stream) for message in stranger.messages()} <= proven(body)


@fuzz()
@given(query=queries, path=st.sampled_from(PATHS))
@example(query="validationToken=%2541%252B", path=PATHS[0])
@example(query="x=%26validationToken=a&validationToken=b%26c&validationToken=d", path=PATHS[1])
def test_a_token_is_echoed_as_it_is_or_not_at_all(query: str, path: str) -> None:
    stranger = Stranger()
    answer = stranger.send(requested("POST", path, query, "text/plain; charset=utf-8", {}, b""))
    stranger.check(answer)
    assert answer.status_code in (200, 400, 415)
    # The standard library's reading of forms, as bytes; it decodes once.
    pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1", separator="&")
    tokens = [value.encode("latin-1") for name, value in pairs if name == "validationToken"]
    if answer.status_code == 200:
        assert answer.data == tokens[0]
        assert len(answer.data) <= LONGEST_TOKEN_BYTES
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    else:
        assert not tokens or not 0 < len(tokens[0]) <= LONGEST_TOKEN_BYTES


@pytest.mark.parametrize("error", [ConnectionResetError, OSError, ValueError, EOFError, UnicodeError, TimeoutError])
def test_a_body_that_breaks_off_is_a_bad_request(error: type[Exception]) -> None:
    stranger = Stranger()
    environ = requested("POST", PATHS[0], "", "application/json", {"CONTENT_LENGTH": "50"}, b"")
    stream = BrokenBody()
    stream.error = error  # type: ignore[method-assign]
    answer = stranger.send(environ | {"wsgi.input": stream})
    stranger.check(answer)
    assert (answer.status_code, stranger.publisher.sent) == (400, [])
