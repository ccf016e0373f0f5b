"""One cloud's client speaks to that cloud alone: its Graph, its login service, and the latter's other names."""

from urllib.parse import parse_qs

import pytest
import requests
import responses

from common.cloud import NATIONAL_CLOUDS, Cloud
from common.graph.http import VerifiedSession
from common.graph.tokens import Tokens
from tests.support.graph import GRAPH, LOGIN, TENANT, credentials, settings

ORIGINS = sorted(
    {origin for cloud in NATIONAL_CLOUDS for origin in (cloud.graph_url, cloud.login_url)} | {GRAPH, LOGIN}
)
OWN = {
    "global": {"https://login.microsoft.com", "https://login.windows.net", "https://sts.windows.net"},
    "usgov": {"https://login.usgovcloudapi.net"},
    "usgov-dod": {"https://login.usgovcloudapi.net"},
    "china": {"https://login.partner.microsoftonline.cn"},
    "default": set(),
}
CLOUDS = [*NATIONAL_CLOUDS, settings().cloud(None)]


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: cloud.name)
def test_nothing_is_sent_to_another_cloud(cloud: Cloud) -> None:
    session = VerifiedSession(settings(), cloud)
    aliases = {alias for names in OWN.values() for alias in names}
    own = {cloud.graph_url, cloud.login_url} | OWN[cloud.name]
    for origin in {*ORIGINS, *aliases}:
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            mock.get(f"{origin}/path", json={})
            if origin in own:
                session.get(f"{origin}/path")
            else:
                with pytest.raises(requests.exceptions.InvalidURL):
                    session.get(f"{origin}/path")
            assert len(mock.calls) == (origin in own), origin


@pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: cloud.name)
def test_a_token_is_asked_for_at_the_clouds_own_login_for_its_own_graph(cloud: Cloud) -> None:
    authority = f"{cloud.login_url}/{TENANT}"
    document = {
        "token_endpoint": f"{authority}/oauth2/v2.0/token",
        "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
        "issuer": f"{authority}/v2.0",
    }
    with responses.RequestsMock() as mock:
        mock.get(f"{authority}/v2.0/.well-known/openid-configuration", json=document)
        mock.post(document["token_endpoint"], json={"token_type": "Bearer", "expires_in": 3599, "access_token": "it"})
        assert Tokens(credentials(), VerifiedSession(settings(), cloud))(renew=False) == "it"
        asked = parse_qs(str(mock.calls[-1].request.body))
    assert asked["scope"] == [f"{cloud.graph_url}/.default"]
