"""Section "OAuth2 client credentials": what a token request gets, and with which AADSTS code it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msal
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from simulator.certificates import _builder, _subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.conftest import Endpoint, Simulate, Simulated


@pytest.fixture
def http_client(simulated: Simulated) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(simulated.ca_file)
        yield session


def msal_application(simulated: Simulated, http_client: requests.Session, credential: Any) -> Any:
    return msal.ConfidentialClientApplication(
        simulated.tenant.application.client_id,
        client_credential=credential,
        authority=f"{simulated.origin}/{simulated.tenant.id}",
        instance_discovery=False,
        http_client=http_client,
    )


def self_signed(days: int = 30) -> tuple[x509.Certificate, str]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = _subject("client")
    certificate = _builder(name, name, key.public_key(), days).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return certificate, private


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def test_msal_gets_a_token_with_a_secret_and_graph_accepts_it(
    simulated: Simulated, http_client: requests.Session
) -> None:
    application = msal_application(simulated, http_client, simulated.tenant.application.client_secret)
    result = application.acquire_token_for_client([f"{simulated.origin}/.default"])
    assert result["token_source"] == "identity_provider"
    answer = simulated.request("GET", "/v1.0/users", headers={"Authorization": f"Bearer {result['access_token']}"})
    assert answer.status_code == 200


def test_msal_hears_about_a_wrong_secret_by_its_code(simulated: Simulated, http_client: requests.Session) -> None:
    result = msal_application(simulated, http_client, "wrong").acquire_token_for_client(
        [f"{simulated.origin}/.default"]
    )
    assert result["error"] == "invalid_client"
    assert result["error_codes"] == [7000215]


@pytest.mark.parametrize("with_thumbprint", [True, False], ids=["RS256 by thumbprint", "PS256 by certificate"])
def test_msal_signs_in_with_a_registered_certificate(
    simulated: Simulated, http_client: requests.Session, with_thumbprint: bool
) -> None:
    certificate, private = self_signed()
    simulated.control("PUT", "/credentials", {"certificate_pem": pem_of(certificate)})
    credential = {"private_key": private, "public_certificate": pem_of(certificate)}
    if with_thumbprint:
        credential = {"private_key": private, "thumbprint": sha1_of(certificate)}
    result = msal_application(simulated, http_client, credential).acquire_token_for_client(
        [f"{simulated.origin}/.default"]
    )
    assert "access_token" in result, result


def test_an_unregistered_certificate_is_refused_with_700027(
    simulated: Simulated, http_client: requests.Session
) -> None:
    certificate, private = self_signed()
    credential = {"private_key": private, "public_certificate": pem_of(certificate)}
    result = msal_application(simulated, http_client, credential).acquire_token_for_client(
        [f"{simulated.origin}/.default"]
    )
    assert (result["error"], result["error_codes"]) == ("invalid_client", [700027])


def test_an_expired_certificate_is_refused_with_1000502(simulated: Simulated, http_client: requests.Session) -> None:
    certificate, private = self_signed(days=0)
    simulated.control("PUT", "/credentials", {"certificate_pem": pem_of(certificate)})
    credential = {"private_key": private, "public_certificate": pem_of(certificate)}
    result = msal_application(simulated, http_client, credential).acquire_token_for_client(
        [f"{simulated.origin}/.default"]
    )
    assert (result["error"], result["error_codes"]) == ("invalid_client", [1000502])


def test_a_deleted_certificate_is_unknown_again(simulated: Simulated, http_client: requests.Session) -> None:
    certificate, private = self_signed()
    simulated.control("PUT", "/credentials", {"certificate_pem": pem_of(certificate)})
    simulated.control("PUT", "/credentials", {"delete_certificates": True})
    credential = {"private_key": private, "public_certificate": pem_of(certificate)}
    result = msal_application(simulated, http_client, credential).acquire_token_for_client(
        [f"{simulated.origin}/.default"]
    )
    assert result["error_codes"] == [700027]


def test_a_certificate_of_which_a_server_has_not_heard_yet_is_unknown(
    simulated: Simulated, http_client: requests.Session
) -> None:
    certificate, private = self_signed()
    simulated.control("PUT", "/credentials", {"certificate_pem": pem_of(certificate)})
    simulated.turn(unknown_new_credential_next=1)
    credential = {"private_key": private, "public_certificate": pem_of(certificate)}
    application = msal_application(simulated, http_client, credential)
    scopes = [f"{simulated.origin}/.default"]
    assert application.acquire_token_for_client(scopes)["error_codes"] == [700027]
    assert "access_token" in application.acquire_token_for_client(scopes)
    assert simulated.fired("unknown_new_credential_next") == 1


def test_an_assertion_signed_by_another_key_is_refused(simulated: Simulated, http_client: requests.Session) -> None:
    certificate, _ = self_signed()
    _, stranger = self_signed()
    simulated.control("PUT", "/credentials", {"certificate_pem": pem_of(certificate)})
    credential = {"private_key": stranger, "thumbprint": sha1_of(certificate)}
    result = msal_application(simulated, http_client, credential).acquire_token_for_client(
        [f"{simulated.origin}/.default"]
    )
    assert result["error_codes"] == [700027]


def sha1_of(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - how Entra names certificates


def refusal(answer: requests.Response) -> tuple[int, str, int]:
    body = answer.json()
    assert body["error_description"].startswith(f"AADSTS{body['error_codes'][0]}: ")
    return answer.status_code, body["error"], body["error_codes"][0]


def test_an_expired_secret_is_another_error_than_a_wrong_one(simulated: Simulated) -> None:
    simulated.control("PUT", "/credentials", {"expired": True})
    assert refusal(simulated.token()) == (401, "invalid_client", 7000222)
    assert refusal(simulated.token(client_secret="wrong")) == (401, "invalid_client", 7000215)


def test_a_secret_made_beside_the_first_works_too_until_the_first_is_the_only_one(simulated: Simulated) -> None:
    first = simulated.tenant.application.client_secret
    simulated.control("PUT", "/credentials", {"new_client_secret": "newer~secret"})
    assert [simulated.token(client_secret=one).status_code for one in (first, "newer~secret")] == [200, 200]
    simulated.control("PUT", "/credentials", {"expired": True})
    assert refusal(simulated.token()) == (401, "invalid_client", 7000222)
    assert simulated.token(client_secret="newer~secret").status_code == 200
    simulated.control("PUT", "/credentials", {"client_secret": first, "expired": False})
    assert refusal(simulated.token(client_secret="newer~secret")) == (401, "invalid_client", 7000215)


def test_a_server_that_has_not_heard_of_a_new_secret_calls_it_wrong(simulated: Simulated) -> None:
    simulated.control("PUT", "/credentials", {"new_client_secret": "newer~secret"})
    simulated.turn(unknown_new_credential_next=1)
    assert simulated.token().status_code == 200
    assert refusal(simulated.token(client_secret="newer~secret")) == (401, "invalid_client", 7000215)
    assert simulated.token(client_secret="newer~secret").status_code == 200
    assert simulated.fired("unknown_new_credential_next") == 1


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"client_id": "11111111-1111-4111-8111-111111111111"}, (400, "unauthorized_client", 700016)),
        ({"scope": "https://127.0.0.1/User.Read.All"}, (400, "invalid_scope", 1002012)),
        ({"scope": "https://graph.microsoft.us/.default"}, (400, "invalid_resource", 500011)),
        ({"scope": ""}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_wrong_token_request_is_refused_with_its_code(
    simulated: Simulated, changed: dict[str, Any], expected: tuple[int, str, int]
) -> None:
    scope = changed.pop("scope", f"{simulated.origin}/.default")
    form = {"scope": scope, **changed}
    base = {
        "grant_type": "client_credentials",
        "client_id": simulated.tenant.application.client_id,
        "client_secret": simulated.tenant.application.client_secret,
    }
    answer = simulated.request("POST", f"/{simulated.tenant.id}/oauth2/v2.0/token", data=base | form)
    assert refusal(answer) == expected


def test_an_unknown_tenant_is_refused_differently_by_discovery_and_token(simulated: Simulated) -> None:
    unknown = "/22222222-2222-4222-8222-222222222222"
    discovery = simulated.request("GET", f"{unknown}/v2.0/.well-known/openid-configuration")
    assert refusal(discovery) == (400, "invalid_tenant", 90002)
    token = simulated.request("POST", f"{unknown}/oauth2/v2.0/token", data={"grant_type": "client_credentials"})
    assert refusal(token) == (400, "invalid_request", 90002)
    malformed = simulated.request("GET", "/not-a-tenant/v2.0/.well-known/openid-configuration")
    assert refusal(malformed) == (400, "invalid_request", 900023)


def test_the_tenant_may_be_named_by_its_domain(simulated: Simulated) -> None:
    answer = simulated.request("GET", f"/{simulated.tenant.domain}/v2.0/.well-known/openid-configuration")
    assert answer.json()["token_endpoint"] == f"{simulated.origin}/{simulated.tenant.domain}/oauth2/v2.0/token"


def test_the_lifetime_of_tokens_can_be_set(simulated: Simulated) -> None:
    simulated.turn(access_token_lifetime_seconds=299)
    assert simulated.token().json()["expires_in"] == 299


def test_a_token_stops_working_when_its_time_is_over(simulated: Simulated) -> None:
    simulated.sign_in()
    simulated.get("/users")
    simulated.advance(3_600)
    status, code, message = simulated.error("GET", "/users")
    assert (status, code) == (401, "InvalidAuthenticationToken")
    assert "expired" in message


def test_requests_without_a_usable_token_are_answered_401(simulated: Simulated) -> None:
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer nonsense"}):
        answer = simulated.request("GET", "/v1.0/users", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")


def test_a_token_for_another_resource_does_not_open_graph(simulated: Simulated) -> None:
    simulated.sign_in("https://vault.azure.net/.default")
    status, code, message = simulated.error("GET", "/users")
    assert (status, code) == (401, "InvalidAuthenticationToken")
    assert "audience" in message


def test_revoked_permissions_show_in_new_tokens_only(simulated: Simulated) -> None:
    simulated.sign_in()
    simulated.control("PUT", "/permissions", {"roles": ["Group.Read.All"]})
    simulated.get("/users")
    simulated.sign_in()
    assert simulated.error("GET", "/users")[:2] == (403, "Authorization_RequestDenied")
    simulated.get("/groups")


def test_without_any_consent_the_token_is_issued_and_graph_denies(simulated: Simulated) -> None:
    simulated.control("PUT", "/permissions", {"roles": []})
    simulated.sign_in()
    for path in ("/users/delta", "/groups/delta", "/users", "/groups", "/subscriptions"):
        assert simulated.error("GET", path)[:2] == (403, "Authorization_RequestDenied"), path


def test_group_member_permission_opens_the_groups_delta_but_not_a_subscription(
    simulated: Simulated, endpoint: Endpoint
) -> None:
    simulated.control("PUT", "/permissions", {"roles": ["User.Read.All", "GroupMember.Read.All"]})
    simulated.sign_in()
    simulated.get("/groups/delta")
    body = simulated.subscription_body(endpoint, "groups")
    status, code, message = simulated.error("POST", "/subscriptions", json=body)
    assert (status, code) == (403, "ExtensionError")
    assert "Status Code: Forbidden" in message


def test_the_basic_permission_hides_phone_numbers(simulated: Simulated) -> None:
    person = simulated.hire("Basic Person", mobilePhone="+48501000001")
    simulated.control("PUT", "/permissions", {"roles": ["User.ReadBasic.All"]})
    simulated.sign_in()
    shown = simulated.get(f"/users/{person}")
    assert shown["displayName"] == "Basic Person"
    assert shown["mobilePhone"] is None


def test_the_organization_is_out_of_reach_of_the_default_permissions(simulated: Simulated) -> None:
    assert simulated.error("GET", "/organization")[:2] == (403, "Authorization_RequestDenied")


def test_each_tenant_opens_only_with_its_own_token(simulate: Simulate) -> None:
    simulated = simulate(tenants=2)
    first, second = simulated.world.tenants.values()
    stranger = simulated.request(
        "POST",
        f"/{second.id}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": first.application.client_id,
            "client_secret": first.application.client_secret,
            "scope": f"{simulated.origin}/.default",
        },
    )
    assert refusal(stranger) == (400, "unauthorized_client", 700016)
    mine = {user["id"] for user in simulated.round("/users/delta")[0]}
    theirs = set(second.directory.truth.users)
    assert mine
    assert not mine & theirs
