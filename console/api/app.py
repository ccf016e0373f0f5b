"""The application: its parts, what every answer has in common, and what is answered when something goes wrong."""

from __future__ import annotations

import logging as levels
import time
from typing import Any

import orjson
from flask import Response, g, request
from flask.typing import ResponseReturnValue
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from common import __version__, health, logging
from common.clock import Clock, utc_now
from common.db.engine import Database
from common.db.revisions import is_up_to_date
from common.errors import EntraSmsError, RetryLaterError
from console.api import changes, contacts, groups, problems, reading, recipients, reports, tenants
from console.api.answers import SECURITY, with_etag
from console.api.problems import RETRY_AFTER_SECONDS, Kind, Problem, ProblemError
from console.api.queries import refuse
from console.reads.horizon import Horizon

PARTS = (tenants.part, contacts.part, groups.part, recipients.part, reports.part, changes.part)
DOCUMENT = "/openapi.json"
_METHODS = ("GET", "HEAD")
_DESCRIPTION = """\
The address book that follows a company's Microsoft Entra directory: people, numbers, groups. Only reading is possible.

Lists come in pages, ordered by object id; `next_cursor` of a page leads to the next. Who is in a list all the time is
told once, whatever changes between two pages. Every answer has an `ETag`: with it as `If-None-Match` the answer is 304
without a body while nothing has changed. Problems are `application/problem+json` and say what to do. Fields may be
added to answers; parameters that are not known are refused.
"""

_ETAG = {"description": "Changes with the answer; for `If-None-Match`.", "schema": {"type": "string"}}

log = logging.get("api")


class Api(OpenAPI):
    """Opens a transaction for each request that reads, and lets nobody in without a key."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(
            "api",
            info=Info(title="entra-sms address book", version=__version__, description=_DESCRIPTION),
            security_schemes={SECURITY: {"type": "http", "scheme": "bearer", "description": "`esms_…`"}},
            validation_error_status=Kind.INVALID_PARAMETER.status,
            validation_error_model=Problem,
            validation_error_callback=_refuse,
            doc_ui=False,
            static_folder=None,
        )
        self._database = database
        self._clock = clock
        self._horizon = Horizon(database)

    def dispatch_request(self, *arguments: Any) -> ResponseReturnValue:
        """Answer one request; here and not before, so that errors of the database are those of the whole request."""
        if request.blueprint is None:
            return super().dispatch_request(*arguments)
        with self._database.read() as connection:
            reading.begin(connection, self._horizon, request.headers.get("Authorization", ""), self._clock())
            return super().dispatch_request(*arguments)

    def document(self) -> Response:
        """Return the OpenAPI document; nobody needs a key for it."""
        for path in self.api_doc["paths"].values():
            path["get"]["responses"]["200"]["headers"] = {"ETag": _ETAG}
        return with_etag(Response(orjson.dumps(self.api_doc) + b"\n", mimetype="application/json"))


def create_app(database: Database, clock: Clock = utc_now) -> Api:
    """Build the application; opens nothing."""
    app = Api(database, clock)
    app.url_map.merge_slashes = False  # a redirect is no answer that a program expects
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    for part in PARTS:
        app.register_api(part)
    app.add_url_rule(DOCUMENT, "document", app.document, methods=["GET"])
    health.register(app, live=lambda: None, ready=_Readiness(database).trouble)
    app.before_request(_begin)
    app.register_error_handler(ProblemError, problems.answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(RetryLaterError, _answer_away)
    app.register_error_handler(Exception, _answer_defect)
    app.after_request(_finish)
    return app


class _Readiness:
    """Whether the database answers and has the tables of this version; once it had them, it will not lose them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_up_to_date = False

    def trouble(self) -> str | None:
        try:
            if self._is_up_to_date:
                with self._database.read():
                    return None
            self._is_up_to_date = is_up_to_date(self._database)
        except EntraSmsError:
            return "database unavailable"
        return None if self._is_up_to_date else "database not up to date"


def _begin() -> None:
    g.begun = time.monotonic()
    has_body = request.content_length or request.headers.get("Transfer-Encoding")
    if has_body and request.url_rule is not None:
        raise ProblemError(Kind.BODY_REFUSED, "Send the request without a body.")


def _refuse(error: ValidationError) -> Response:
    raise refuse(error) from None


def _answer_http(error: HTTPException) -> Response:
    """Answer what Flask itself refuses; its own words are in HTML."""
    if error.code == Kind.NOT_FOUND.status:
        kind, detail = Kind.NOT_FOUND, f"Nothing is at this path. What there is: GET {DOCUMENT}"
    elif error.code == Kind.METHOD_NOT_ALLOWED.status:
        kind, detail = Kind.METHOD_NOT_ALLOWED, "Nothing can be changed here: use GET."
    else:
        kind, detail = Kind.BAD_REQUEST, error.description or "The request cannot be understood."
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return problems.answer(ProblemError(kind, detail, headers))


def _answer_away(error: RetryLaterError) -> Response:
    log.warning("database_failed", error=str(error))
    detail = f"The address book cannot be read right now. Try again in {RETRY_AFTER_SECONDS} seconds."
    return problems.answer(ProblemError(Kind.UNAVAILABLE, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)}))


def _answer_defect(error: Exception) -> Response:
    log.error("api_failed", error=type(error).__name__, exc_info=error)
    return problems.answer(ProblemError(Kind.DEFECT, "This is a defect of the API; its log says more."))


def _finish(response: Response) -> Response:
    """Log the request, without what it asked for: queries and paths hold names, numbers and addresses."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    rule = request.url_rule
    tenant_id = (request.view_args or {}).get("tenant_id")
    log.log(
        levels.DEBUG if request.path.startswith("/health/") else levels.INFO,
        "request",
        method=request.method if request.method in _METHODS else "other",
        route=rule.rule if rule is not None else None,
        tenant=str(tenant_id) if tenant_id is not None else None,
        key=reading.key_id(),
        status=response.status_code,
        bytes=response.content_length,
        milliseconds=round((time.monotonic() - g.begun) * 1000, 1),
    )
    return response
