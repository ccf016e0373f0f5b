"""The login: discovery document and client-credential tokens, with the errors Entra gives.

Source: "OAuth 2.0 client credentials flow on the Microsoft identity platform"; the AADSTS codes are those that
clients report.
"""

from __future__ import annotations

import re
import secrets
import uuid
from datetime import UTC, datetime
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, request

from simulator import client_assertion, throttling
from simulator.answers import plain_json
from simulator.gate import is_graph_audience
from simulator.tenant import Tenant
from simulator.world import World

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Resources whose tokens a tenant would issue, and Graph would refuse.
OTHER_RESOURCES = ("https://management.azure.com", "https://outlook.office365.com", "https://vault.azure.net")
_TENANT_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|([\w-]+\.)+[\w-]+")


class LoginError(Exception):
    """A refusal of the login: HTTP status, OAuth `error`, AADSTS number and its sentence."""

    def __init__(self, status: int, error: str, number: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.number = number
        self.message = message


class Login:
    """Answers for all tenants of the simulator."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Blueprint:
        blueprint = Blueprint("login", __name__)
        blueprint.add_url_rule("/<tenant>/v2.0/.well-known/openid-configuration", view_func=self.discovery)
        blueprint.add_url_rule("/<tenant>/oauth2/v2.0/token", view_func=self.token, methods=["POST"])
        blueprint.register_error_handler(LoginError, self._refuse)
        return blueprint

    def discovery(self, tenant: str) -> Response:
        found = self._tenant(tenant, "invalid_tenant")
        base = f"https://{request.host}/{tenant}"
        return plain_json(
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "tenant_region_scope": "EU",
                "msgraph_host": request.host,
                "tenant_id": found.id,
            }
        )

    def token(self, tenant: str) -> Response:
        found = self._tenant(tenant, "invalid_request")
        faults = found.faults
        if faults.fires("throttle_login"):
            problem = LoginError(429, "temporarily_unavailable", 90033, "A transient error has occurred. Try again.")
            answer = self._refuse(problem)
            answer.headers.extend(throttling.retry_after(faults, found.clock))
            return answer
        if request.form.get("grant_type") != "client_credentials":
            raise LoginError(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        self._authenticate(found, tenant)
        audience = self._audience(request.form.get("scope", ""))
        lifetime = faults.seconds("access_token_lifetime_seconds")
        issued = self._world.access_tokens.issue(found.id, found.application, audience, found.clock.now(), lifetime)
        body = {"token_type": "Bearer", "expires_in": int(lifetime), "ext_expires_in": int(lifetime)}
        return plain_json(body | {"access_token": issued}, headers={"Cache-Control": "no-store, no-cache"})

    def _tenant(self, name: str, error: str) -> Tenant:
        if not _TENANT_FORM.fullmatch(name):
            message = f"Specified tenant identifier '{name}' is neither a valid DNS name, nor a valid external domain."
            raise LoginError(400, "invalid_request", 900023, message)
        wanted = name.lower()
        for tenant in self._world.tenants.values():
            if wanted in (tenant.id, tenant.domain):
                g.tenant = tenant
                if tenant.faults.fires("server_error_login"):
                    raise LoginError(503, "temporarily_unavailable", 90033, "A transient error has occurred.")
                return tenant
        raise LoginError(400, error, 90002, f"Tenant '{name}' not found. Check to make sure you have the correct one.")

    def _authenticate(self, tenant: Tenant, tenant_name: str) -> None:
        application = tenant.application
        client_id = request.form.get("client_id", "")
        if client_id.lower() != application.client_id:
            message = f"Application with identifier '{client_id}' was not found in the directory '{tenant.domain}'."
            raise LoginError(400, "unauthorized_client", 700016, message)
        if "client_assertion" in request.form:
            self._check_assertion(tenant, tenant_name)
        elif "client_secret" in request.form:
            self._check_secret(tenant)
        else:
            message = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise LoginError(401, "invalid_client", 7000216, message)

    def _check_secret(self, tenant: Tenant) -> None:
        application = tenant.application
        given = request.form["client_secret"].encode()
        is_first = secrets.compare_digest(given, application.client_secret.encode())
        is_newer = any(secrets.compare_digest(given, one.encode()) for one in application.newer_secrets)
        if not is_first and (not is_newer or tenant.faults.takes("unknown_new_credential_next")):
            message = (
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{application.client_id}'."
            )
            raise LoginError(401, "invalid_client", 7000215, message)
        if is_first and application.secret_expired:
            message = f"The provided client secret keys for app '{application.client_id}' are expired."
            raise LoginError(401, "invalid_client", 7000222, message)

    def _check_assertion(self, tenant: Tenant, tenant_name: str) -> None:
        if request.form.get("client_assertion_type") != ASSERTION_TYPE:
            raise LoginError(400, "invalid_request", 900144, "The client_assertion_type is missing or not supported.")
        base = f"https://{request.host}"
        audiences = [f"{base}/{name}/oauth2/v2.0/token" for name in (tenant_name, tenant.id)]
        try:
            client_assertion.check(request.form["client_assertion"], tenant.application, audiences, tenant.clock.wall())
        except client_assertion.BadAssertionError as problem:
            raise LoginError(401, "invalid_client", problem.number, str(problem)) from problem
        if tenant.faults.takes("unknown_new_credential_next"):
            raise LoginError(401, "invalid_client", 700027, client_assertion.NOT_REGISTERED)

    def _audience(self, scope: str) -> str:
        resource, separator, rest = scope.rpartition("/.default")
        if not scope:
            message = "The request body must contain the following parameter: 'scope'."
            raise LoginError(400, "invalid_request", 900144, message)
        if not separator or rest or " " in scope:
            message = f"The provided value for scope {scope} is not valid. It must end with /.default."
            raise LoginError(400, "invalid_scope", 1002012, message)
        if is_graph_audience(resource, request.host) or resource.rstrip("/") in OTHER_RESOURCES:
            return resource
        name = urlsplit(resource).netloc or resource
        message = f"The resource principal named {name} was not found in the tenant."
        raise LoginError(400, "invalid_resource", 500011, message)

    def _refuse(self, problem: LoginError) -> Response:
        moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        trace = str(uuid.uuid4())
        correlation = request.headers.get("client-request-id") or str(uuid.uuid4())
        description = (
            f"AADSTS{problem.number}: {problem.message}\r\nTrace ID: {trace}\r\n"
            f"Correlation ID: {correlation}\r\nTimestamp: {moment}"
        )
        body = {
            "error": problem.error,
            "error_description": description,
            "error_codes": [problem.number],
            "timestamp": moment,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://{request.host}/error?code={problem.number}",
        }
        return plain_json(body, problem.status)
