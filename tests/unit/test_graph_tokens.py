"""Access tokens: fetched once, renewed when asked, and what Entra's refusals say in plain words."""

import base64
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
import responses
from cryptography.hazmat.primitives import hashes

from common import logging as our_logging
from common.errors import AccessError, RetryLaterError
from common.graph.answers import GraphUnavailableError
from common.graph.credentials import ClientCertificate, ClientSecret, Credentials
from common.graph.http import VerifiedSession
from common.graph.tokens import REFUSALS, Tokens
from tests.support.certificates import self_signed
from tests.support.graph import (
    DISCOVERY,
    GRAPH,
    SECRET,
    TENANT,
    TOKEN,
    allow_discovery,
    allow_login,
    credentials,
    refusal,
    settings,
)


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def tokens() -> Tokens:
    found = settings()
    return Tokens(credentials(), VerifiedSession(found))


def asked(mock: responses.RequestsMock, address: str) -> int:
    return sum(call.request.url == address for call in mock.calls)


def granted(token: str) -> dict[str, Any]:
    return {"token_type": "Bearer", "expires_in": 3599, "access_token": token}


def test_a_token_is_fetched_once_and_kept(mock: responses.RequestsMock, tokens: Tokens) -> None:
    allow_login(mock)
    assert [tokens(renew=False), tokens(renew=False)] == ["a-token", "a-token"]
    assert (asked(mock, DISCOVERY), asked(mock, TOKEN)) == (1, 1)


def test_making_tokens_asks_nobody_before_the_first_one_is_needed(mock: responses.RequestsMock, tokens: Tokens) -> None:
    assert len(mock.calls) == 0


def test_renewing_fetches_a_new_one_in_place_of_a_valid_one(mock: responses.RequestsMock, tokens: Tokens) -> None:
    allow_discovery(mock)
    mock.post(TOKEN, json=granted("first"))
    mock.post(TOKEN, json=granted("second"))
    assert [tokens(renew=False), tokens(renew=True), tokens(renew=False)] == ["first", "second", "second"]


def test_a_forgotten_token_is_fetched_anew_when_it_is_needed_and_not_before(
    mock: responses.RequestsMock, tokens: Tokens
) -> None:
    allow_discovery(mock)
    mock.post(TOKEN, json=granted("first"))
    tokens(renew=False)
    tokens.forget()
    assert asked(mock, TOKEN) == 1
    mock.replace(responses.POST, TOKEN, json=granted("second"))
    assert tokens(renew=False) == "second"


def test_the_scope_is_all_that_was_consented_to_in_the_configured_graph(
    mock: responses.RequestsMock, tokens: Tokens
) -> None:
    allow_login(mock)
    tokens(renew=False)
    assert f"scope={GRAPH}/.default".replace(":", "%3A").replace("/", "%2F") in str(mock.calls[-1].request.body)


def test_a_certificate_signs_by_ps256_and_is_named_by_its_sha256_digest(mock: responses.RequestsMock) -> None:
    made = self_signed()
    allow_login(mock)
    certificate = ClientCertificate(made.pem.decode(), made.key_pem().decode())

    assert Tokens(Credentials(TENANT, "app-1", certificate), VerifiedSession(settings()))(renew=False) == "a-token"

    form = parse_qs(str(mock.calls[-1].request.body))
    assert "client_secret" not in form
    header = jwt.get_unverified_header(form["client_assertion"][0])
    digest = base64.urlsafe_b64encode(made.certificate.fingerprint(hashes.SHA256())).decode().rstrip("=")
    assert (header["alg"], header["x5t#S256"].rstrip("=")) == ("PS256", digest)
    public = made.key.public_key()
    claims = jwt.decode(form["client_assertion"][0], public, algorithms=["PS256"], audience=TOKEN)
    assert claims["iss"] == claims["sub"] == "app-1"


# Refusals


@pytest.mark.parametrize("number", sorted(REFUSALS))
def test_each_known_refusal_has_its_sentence_its_advice_and_its_code(
    mock: responses.RequestsMock, tokens: Tokens, number: int
) -> None:
    allow_discovery(mock)
    mock.post(TOKEN, status=401, json=refusal(number))
    with pytest.raises(AccessError) as caught:
        tokens(renew=False)
    sentence, advice = REFUSALS[number]
    assert caught.value.code == f"AADSTS{number}"
    assert str(caught.value) == f"{sentence} [AADSTS{number}] {advice}"


def test_an_unknown_refusal_still_names_its_code(mock: responses.RequestsMock, tokens: Tokens) -> None:
    allow_discovery(mock)
    mock.post(TOKEN, status=400, json=refusal(99999999, "access_denied"))
    with pytest.raises(AccessError, match=r"Entra refused the application \(access_denied\). \[AADSTS99999999\]"):
        tokens(renew=False)


def test_a_refusal_without_a_number_goes_by_its_word(mock: responses.RequestsMock, tokens: Tokens) -> None:
    allow_discovery(mock)
    mock.post(TOKEN, status=400, json={"error": "invalid_client"})
    with pytest.raises(AccessError) as caught:
        tokens(renew=False)
    assert caught.value.code == "invalid_client"


def test_a_refusal_is_not_repeated_from_memory(mock: responses.RequestsMock, tokens: Tokens) -> None:
    allow_discovery(mock)
    mock.post(TOKEN, status=400, json=refusal(700016))
    with pytest.raises(AccessError):
        tokens(renew=False)
    mock.replace(responses.POST, TOKEN, json=granted("after the repair"))
    assert tokens(renew=False) == "after the repair"


def test_a_throttled_login_is_passing_trouble_and_left_alone_as_long_as_it_asks(
    mock: responses.RequestsMock, tokens: Tokens
) -> None:
    allow_discovery(mock)
    busy = refusal(90033, "temporarily_unavailable")
    mock.post(TOKEN, status=429, headers={"Retry-After": "600"}, json=busy)
    for _ in range(3):
        with pytest.raises(GraphUnavailableError):
            tokens(renew=False)
    assert asked(mock, TOKEN) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_login_service_in_trouble_is_no_matter_of_access(
    mock: responses.RequestsMock, tokens: Tokens, status: int
) -> None:
    allow_discovery(mock)
    mock.post(TOKEN, status=status)
    with pytest.raises(GraphUnavailableError):
        tokens(renew=False)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("body", ["<html>Sign in to the hotel's network</html>", '{"access_token": "half of'])
def test_a_login_service_that_answers_no_json_is_no_matter_of_access(
    mock: responses.RequestsMock, tokens: Tokens, status: int, body: str
) -> None:
    allow_discovery(mock)
    mock.post(TOKEN, status=status, body=body)
    with pytest.raises(GraphUnavailableError):
        tokens(renew=False)


@pytest.mark.parametrize("trouble", [requests.ConnectionError, requests.ReadTimeout, requests.exceptions.SSLError])
@pytest.mark.parametrize("address", [DISCOVERY, TOKEN])
def test_an_unreachable_login_service_is_no_matter_of_access(
    mock: responses.RequestsMock, tokens: Tokens, address: str, trouble: type[Exception]
) -> None:
    if address == TOKEN:
        allow_discovery(mock)
    mock.add(responses.GET if address == DISCOVERY else responses.POST, address, body=trouble("no"))
    with pytest.raises(GraphUnavailableError):
        tokens(renew=False)


# Discovery


def test_an_unknown_tenant_is_told_by_the_discovery_document(mock: responses.RequestsMock, tokens: Tokens) -> None:
    mock.get(DISCOVERY, status=400, json=refusal(90002, "invalid_tenant"))
    with pytest.raises(AccessError, match="The tenant does not exist") as caught:
        tokens(renew=False)
    assert caught.value.code == "AADSTS90002"


def test_a_malformed_tenant_id_is_not_called_unknown(mock: responses.RequestsMock, tokens: Tokens) -> None:
    mock.get(DISCOVERY, status=400, json=refusal(900023, "invalid_request"))
    with pytest.raises(AccessError, match="The tenant id is malformed"):
        tokens(renew=False)


@pytest.mark.parametrize("status", [302, 403, 404, 407, 429, 500, 503])
def test_a_discovery_that_fails_otherwise_does_not_deny_the_tenant(
    mock: responses.RequestsMock, tokens: Tokens, status: int
) -> None:
    mock.get(DISCOVERY, status=status, headers={"Location": "https://portal.example/"}, body="<html>")
    with pytest.raises(GraphUnavailableError):
        tokens(renew=False)


@pytest.mark.parametrize("body", ["<html>Sign in to the hotel's network</html>", "[]", "{}", '{"token_endpoint": 5}'])
def test_a_discovery_document_of_no_known_shape_does_not_deny_the_tenant(
    mock: responses.RequestsMock, tokens: Tokens, body: str
) -> None:
    mock.get(DISCOVERY, body=body)
    with pytest.raises(GraphUnavailableError):
        tokens(renew=False)


def test_the_next_try_asks_the_discovery_document_again(mock: responses.RequestsMock, tokens: Tokens) -> None:
    mock.get(DISCOVERY, status=503)
    with pytest.raises(RetryLaterError):
        tokens(renew=False)
    mock.remove(responses.GET, DISCOVERY)
    allow_login(mock)
    assert tokens(renew=False) == "a-token"


# Secrets


def test_credentials_are_printed_without_the_secret() -> None:
    shown = f"{credentials()!r} {credentials()} {[credentials()]}"
    assert TENANT in shown
    assert SECRET not in shown


def test_no_error_carries_the_secret_or_its_traces(mock: responses.RequestsMock, tokens: Tokens) -> None:
    allow_discovery(mock)
    mock.post(TOKEN, status=503, body=f"client_secret={SECRET}")
    with pytest.raises(GraphUnavailableError) as caught:
        tokens(renew=False)
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"


@pytest.fixture
def _configured_logging(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    root = logging.getLogger()
    kept = root.handlers, root.level, {name: logging.getLogger(name).level for name in our_logging.NOISY}
    our_logging.configure(settings(log_level="debug"), "worker")
    yield
    root.handlers, root.level = kept[0], kept[1]
    for name, level in kept[2].items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.usefixtures("_configured_logging")
@pytest.mark.parametrize("body", ['{"access_token": "tok3n-cut', '{"access_token": "tok3n-whole", "expires_in": 3599}'])
def test_no_log_line_carries_a_secret_or_a_token(
    mock: responses.RequestsMock, tokens: Tokens, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    logging.getLogger("root of the test").warning("this is heard")
    allow_discovery(mock)
    mock.post(TOKEN, body=body)
    with suppress(GraphUnavailableError):
        tokens(renew=False)
    said = capsys.readouterr().err
    assert "this is heard" in said
    assert SECRET not in said
    assert "tok3n" not in said


def test_a_credential_of_another_tenant_makes_its_own_tokens(mock: responses.RequestsMock) -> None:
    allow_login(mock)
    found = settings()
    session = VerifiedSession(found)
    for client_id in ("app-1", "app-2"):
        Tokens(Credentials(TENANT, client_id, ClientSecret(SECRET)), session)(renew=False)
    assert asked(mock, TOKEN) == 2
