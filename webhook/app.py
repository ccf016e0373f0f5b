"""The HTTP side of the webhook: routes, limits and answers. What is done with a body is in `webhook.reception`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    ServiceUnavailable,
    UnsupportedMediaType,
)

from common import health, logging
from common.broker.publisher import Publisher
from common.client_state import ClientStates
from common.clock import Clock, utc_now
from common.config import Settings
from common.errors import BrokerUnavailableError
from webhook import handshake
from webhook.group_commit import Group
from webhook.later import Later, Settled
from webhook.metrics import Metrics
from webhook.payload import PayloadError
from webhook.reception import Reception

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PATHS = ("/graph/notifications", "/graph/lifecycle")
"""Graph may be given one address for both; each of them takes both kinds of item."""

BODY_LIMIT_BYTES = 1_048_576
RETRY_AFTER_SECONDS = 10

_OUTCOMES = {400: "bad_request", 413: "too_large", 415: "wrong_content_type", 503: "broker_unavailable"}

log = logging.get("webhook")


def create_app(settings: Settings, publisher: Publisher, clock: Clock = utc_now) -> Flask:
    """Build the application; opens nothing.

    Raises:
        SettingsError: there is no server key.
    """
    metrics = Metrics()
    reception = Reception(ClientStates.from_settings(settings), publisher, metrics, clock)
    accepted = Settled(_with_safe_headers(Response(status=202, mimetype="text/plain")))
    app = Flask("webhook", static_folder=None)
    app.url_map.merge_slashes = False  # a redirect would tell our address to whoever asks
    # werkzeug cuts a chunked body off at the limit without a word: one byte more shows that there was more.
    app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT_BYTES + 1
    app.extensions["publisher"] = publisher
    app.extensions["metrics"] = metrics

    def receive() -> Response:
        token = handshake.validation_token(request.query_string)
        if token is not None:
            return _answer_handshake(token, metrics)
        return _answer_notifications(reception, metrics, accepted)

    for path in PATHS:
        app.add_url_rule(path, path, receive, methods=["POST"], provide_automatic_options=False)
    health.register(app, live=lambda: None, ready=lambda: None if publisher.is_connected() else "broker away")
    app.register_error_handler(HTTPException, lambda error: _answer_error(error, metrics))
    app.register_error_handler(Exception, lambda error: _answer_defect(error, metrics))
    app.after_request(_with_safe_headers)
    return app


def _answer_handshake(token: bytes, metrics: Metrics) -> Response:
    if not handshake.is_acceptable(token):
        raise BadRequest
    metrics.posts.labels("handshake").inc()
    log.info("handshake")
    return Response(token, 200, mimetype="text/plain")


def _answer_notifications(reception: Reception, metrics: Metrics, accepted: Settled) -> Response:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    try:
        group = reception.take(_body())
    except PayloadError:
        raise BadRequest from None
    if group is None:
        metrics.posts_accepted.inc()
        return Response(status=202, mimetype="text/plain")
    return Later(group, lambda group: _answer_over(group, metrics, accepted))


def _answer_over(group: Group, metrics: Metrics, accepted: Settled) -> WSGIApplication:
    """Return the answer to a POST whose group is confirmed, or given up."""
    if group.error is None:
        metrics.posts_accepted.inc()
        return accepted
    if not isinstance(group.error, BrokerUnavailableError):
        return _with_safe_headers(_answer_defect(group.error, metrics))
    log.warning("broker_unavailable", error=str(group.error))
    return _with_safe_headers(_answer_error(ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS), metrics))


def _body() -> bytes:
    """Read the body, chunked or not, up to the limit."""
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception:  # noqa: BLE001 - every server has errors of its own for a body that breaks off or is malformed
        raise BadRequest from None
    if len(body) > BODY_LIMIT_BYTES:
        raise RequestEntityTooLarge
    return body


def _answer_error(error: HTTPException, metrics: Metrics) -> Response:
    status = error.code or 500
    metrics.posts.labels(_OUTCOMES.get(status, "not_served")).inc()
    response = Response(json.dumps({"error": error.name}) + "\n", status, mimetype="application/json")
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _answer_defect(error: Exception, metrics: Metrics) -> Response:
    metrics.posts.labels("failed").inc()
    log.error("webhook_failed", error=type(error).__name__, exc_info=error)
    return Response('{"error": "Internal Server Error"}\n', 500, mimetype="application/json")


def _with_safe_headers(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response
