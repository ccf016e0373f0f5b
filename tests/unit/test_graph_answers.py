"""What each answer of Graph means: the reaction it demands, and the delay it asks for."""

import email.utils
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st
from requests.exceptions import ChunkedEncodingError

from common.errors import AccessError, BadPageError, ResyncNeededError, RetryLaterError
from common.graph.answers import (
    LONGEST_CODE,
    LONGEST_RETRY_AFTER_SECONDS,
    DoubtfulTokenError,
    GraphConflictError,
    GraphNotFoundError,
    GraphRefusedError,
    GraphThrottledError,
    GraphUnavailableError,
    PageTokenExpiredError,
    retry_after_seconds,
)
from tests.support.graph import DELTA_LINK, GRAPH, CountedToken, error, graph_http
from tests.support.raw_graph import RawAnswer, RawGraph

PATH = f"{GRAPH}/v1.0/users/delta"
Get = Callable[..., dict[str, Any]]


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def token() -> CountedToken:
    return CountedToken()


@pytest.fixture
def get(token: CountedToken) -> Get:
    http = graph_http()
    return lambda url=PATH, **options: http.call("GET", url, token, **options)


# Waiting


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("2.128", 2.128), ("0", 0.0)])
def test_throttling_asks_for_the_seconds_of_its_header(
    mock: responses.RequestsMock, get: Get, status: int, header: str | None, seconds: float
) -> None:
    mock.get(PATH, status=status, headers={"Retry-After": header}, json=error("TooManyRequests"))
    with pytest.raises(GraphThrottledError) as caught:
        get()
    assert caught.value.delay_seconds == seconds


def test_throttling_may_name_a_date() -> None:
    now = 1_800_000_000.0
    assert retry_after_seconds(email.utils.formatdate(now + 90, usegmt=True), now=now) == 90.0


@pytest.mark.parametrize("sent_at", [1_500_000_000, 1_900_000_000])
def test_a_date_to_wait_for_is_read_by_the_clock_of_whoever_named_it(
    mock: responses.RequestsMock, get: Get, sent_at: int
) -> None:
    dates = {"Date": sent_at, "Retry-After": sent_at + 90}
    headers = {name: email.utils.formatdate(moment, usegmt=True) for name, moment in dates.items()}
    mock.get(PATH, status=429, headers=headers, json=error("TooManyRequests"))
    with pytest.raises(GraphThrottledError) as caught:
        get()
    assert caught.value.delay_seconds == 90.0


def test_a_date_that_has_passed_asks_for_no_delay() -> None:
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


def test_nobody_is_made_to_wait_for_longer_than_an_hour() -> None:
    assert retry_after_seconds("1e9") == LONGEST_RETRY_AFTER_SECONDS
    assert retry_after_seconds("inf") == LONGEST_RETRY_AFTER_SECONDS


@pytest.mark.parametrize("header", [None, "", "soon", "NaN", "-nan", "Wed, 21 Oct 99999 07:28:00 GMT"])
def test_an_unreadable_delay_counts_as_none(header: str | None) -> None:
    assert retry_after_seconds(header) is None


@given(st.text())
def test_no_header_can_break_the_reading_of_delays(header: str | None) -> None:
    seconds = retry_after_seconds(header)
    assert seconds is None or 0.0 <= seconds <= LONGEST_RETRY_AFTER_SECONDS


def test_throttling_without_a_readable_delay_is_still_throttling(mock: responses.RequestsMock, get: Get) -> None:
    mock.get(PATH, status=429, headers={"Retry-After": "NaN"})
    with pytest.raises(GraphThrottledError) as caught:
        get()
    assert caught.value.delay_seconds is None


@pytest.mark.parametrize("status", [500, 502, 503, 504, 509])
def test_a_server_error_is_passing_trouble(mock: responses.RequestsMock, get: Get, status: int) -> None:
    mock.get(DELTA_LINK, status=status, json=error("UnknownError"))
    with pytest.raises(GraphUnavailableError) as caught:
        get(DELTA_LINK, carries_token=True)
    assert caught.value.delay_seconds is None


@pytest.mark.parametrize("trouble", [requests.ConnectionError, requests.ReadTimeout, ChunkedEncodingError])
def test_a_connection_that_breaks_is_passing_trouble(
    mock: responses.RequestsMock, get: Get, trouble: type[Exception]
) -> None:
    mock.get(PATH, body=trouble("reset"))
    with pytest.raises(GraphUnavailableError):
        get()


# Access


def test_a_401_is_tried_once_more_with_a_new_token(mock: responses.RequestsMock, get: Get, token: CountedToken) -> None:
    mock.get(PATH, status=401, json=error("InvalidAuthenticationToken"))
    mock.get(PATH, json={"value": []})
    assert get() == {"value": []}
    assert token.renewals == 1
    assert [call.request.headers["Authorization"] for call in mock.calls] == ["Bearer token-1", "Bearer token-2"]


def test_a_second_401_is_a_matter_for_people(mock: responses.RequestsMock, get: Get, token: CountedToken) -> None:
    mock.get(PATH, status=401, json=error("InvalidAuthenticationToken"))
    mock.get(PATH, status=401, json=error("InvalidAuthenticationToken"))
    with pytest.raises(AccessError) as caught:
        get()
    assert caught.value.code == "InvalidAuthenticationToken"
    assert token.renewals == 1


def test_a_missing_permission_says_what_to_click(mock: responses.RequestsMock, get: Get) -> None:
    mock.get(PATH, status=403, json=error("Authorization_RequestDenied", "Insufficient privileges"))
    with pytest.raises(AccessError) as caught:
        get()
    assert caught.value.code == "Authorization_RequestDenied"
    assert "Grant admin consent" in str(caught.value)


def test_after_a_403_the_next_request_fetches_its_token_anew(
    mock: responses.RequestsMock, get: Get, token: CountedToken
) -> None:
    mock.get(PATH, status=403, json=error("Authorization_RequestDenied"))
    with pytest.raises(AccessError):
        get()
    assert (token.forgotten, token.renewals) == (1, 0)  # a token fetched now would not know of a later consent


@pytest.mark.parametrize("inner", ["ServiceUnavailable", "TooManyRequests", "GatewayTimeout"])
def test_trouble_of_another_service_in_a_403_is_passing(mock: responses.RequestsMock, get: Get, inner: str) -> None:
    message = f"Operation: Create; Exception: [Status Code: {inner}; Reason: A task was canceled]"
    mock.get(PATH, status=403, json=error("ExtensionError", message))
    with pytest.raises(GraphUnavailableError):
        get()


def test_a_refusal_wrapped_in_a_403_is_none_the_less_a_refusal(mock: responses.RequestsMock, get: Get) -> None:
    message = "Operation: Create; Exception: [Status Code: Forbidden; Reason: Caller does not have access]"
    mock.get(PATH, status=403, json=error("ExtensionError", message))
    with pytest.raises(AccessError):
        get()


# Objects


def test_a_404_is_about_the_object_and_never_about_the_token(mock: responses.RequestsMock, get: Get) -> None:
    mock.get(DELTA_LINK, status=404, json=error("Request_ResourceNotFound"))
    with pytest.raises(GraphNotFoundError):
        get(DELTA_LINK, carries_token=True)


def test_a_409_names_the_object_that_is_in_the_way(mock: responses.RequestsMock, get: Get) -> None:
    message = "Subscription Id 7F105C7D-2DC5-4530-97CD-4E7AE6534C07 already exists for the requested combination"
    mock.get(PATH, status=409, json=error("ObjectIdentifierInUse", message))
    with pytest.raises(GraphConflictError) as caught:
        get()
    assert caught.value.existing_id == "7f105c7d-2dc5-4530-97cd-4e7ae6534c07"


def test_a_409_without_an_id_says_so(mock: responses.RequestsMock, get: Get) -> None:
    mock.get(PATH, status=409, body="conflict")
    with pytest.raises(GraphConflictError) as caught:
        get()
    assert caught.value.existing_id is None


# Tokens in links

DEAD = [
    (410, "resyncRequired"),
    (410, ""),
    (400, "syncStateNotFound"),
    (400, "SyncStateNotFound"),
    (400, "SYNCSTATENOTFOUND"),
    (400, "Request_UnsupportedQuery"),
    (400, "resyncRequired"),
]


@pytest.mark.parametrize(("status", "code"), DEAD)
def test_a_dead_delta_token_needs_a_full_round(mock: responses.RequestsMock, get: Get, status: int, code: str) -> None:
    mock.get(DELTA_LINK, status=status, json=error(code))
    with pytest.raises(ResyncNeededError):
        get(DELTA_LINK, carries_token=True)


@pytest.mark.parametrize("spelling", ["innerError", "innererror"])
def test_the_code_may_be_nested(mock: responses.RequestsMock, get: Get, spelling: str) -> None:
    mock.get(DELTA_LINK, status=400, json=error("BadRequest", **{spelling: {"code": "syncStateNotFound"}}))
    with pytest.raises(ResyncNeededError):
        get(DELTA_LINK, carries_token=True)


@pytest.mark.parametrize(("status", "code"), [*DEAD, (400, "Directory_ExpiredPageToken"), (400, "BadRequest")])
def test_a_request_without_a_token_can_lose_none(
    mock: responses.RequestsMock, get: Get, status: int, code: str
) -> None:
    mock.get(PATH, status=status, json=error(code))
    with pytest.raises(GraphRefusedError) as caught:
        get()
    assert not isinstance(caught.value, DoubtfulTokenError)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_a_dead_page_token_is_no_dead_delta_token(mock: responses.RequestsMock, get: Get) -> None:
    mock.get(DELTA_LINK, status=400, json=error("Directory_ExpiredPageToken"))
    with pytest.raises(PageTokenExpiredError):
        get(DELTA_LINK, carries_token=True)


@pytest.mark.parametrize(
    "body", ['{"error": {"code": "BadRequest"}}', "<html>", '{"error": "odd"}', "[]", '{"error": 5}']
)
def test_any_other_400_leaves_the_token_in_doubt(mock: responses.RequestsMock, get: Get, body: str) -> None:
    mock.get(DELTA_LINK, status=400, body=body)
    with pytest.raises(DoubtfulTokenError):
        get(DELTA_LINK, carries_token=True)


@pytest.mark.parametrize("status", [405, 413, 501])
def test_other_refusals_say_nothing_of_the_token(mock: responses.RequestsMock, get: Get, status: int) -> None:
    mock.get(DELTA_LINK, status=status, json=error("NotImplemented"))
    with pytest.raises(GraphRefusedError) as caught:
        get(DELTA_LINK, carries_token=True)
    assert not isinstance(caught.value, DoubtfulTokenError)


# Answers that are none


@pytest.mark.parametrize("body", ['{"value": [', "<html>Welcome</html>", '[{"id": 1}]', "null", '"text"', b"\xff\xfe"])
def test_an_answer_that_is_no_json_object_is_not_stored(mock: responses.RequestsMock, get: Get, body: str) -> None:
    mock.get(PATH, body=body)
    with pytest.raises(BadPageError):
        get()


def test_an_empty_answer_is_an_empty_object(mock: responses.RequestsMock, get: Get) -> None:
    mock.get(PATH, status=204)
    assert get() == {}


def test_no_error_repeats_what_graph_said_of_people(mock: responses.RequestsMock, get: Get) -> None:
    mock.get(PATH, status=400, json=error("Request_BadRequest", "Invalid value 'Anna Kowalska +48 601'"))
    with pytest.raises(RetryLaterError) as caught:
        get()
    assert str(caught.value) == "Graph answered 400 Request_BadRequest."


@pytest.mark.parametrize(
    ("code", "repeated"),
    [("\x00", ""), ("Bad\x00Request\r\n", "BadRequest"), ("x" * 9_000, "x" * LONGEST_CODE), (["a", {"b": 1}], "ab:1")],
)
def test_the_code_of_an_error_is_repeated_as_a_word_that_every_database_keeps(
    mock: responses.RequestsMock, get: Get, code: Any, repeated: str
) -> None:
    mock.get(PATH, status=400, json={"error": {"code": code}})
    with pytest.raises(GraphRefusedError) as caught:
        get(carries_token=True)
    assert str(caught.value) == f"Graph answered 400 {repeated}".rstrip() + "."
    assert caught.value.code == repeated


@pytest.mark.parametrize("location", ["https://[::1", "\x80", "//\xff@:x", ""])
def test_where_a_redirect_leads_is_not_even_read(location: str) -> None:
    graph = RawGraph(RawAnswer(b"", 302, {"Location": location})).client
    with pytest.raises(GraphRefusedError, match="302"):
        graph.page(DELTA_LINK)
