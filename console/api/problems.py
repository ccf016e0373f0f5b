"""What is answered instead of data: problems as RFC 9457 has them, which say what to do."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from flask import Response
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel, Field

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5


class Problem(BaseModel):
    """Why there is no answer; `type` is for programs and never changes, `detail` is for people."""

    type: str = Field(description="What kind of problem this is.", examples=["urn:entra-sms:unknown-parameter"])
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The status of the answer, once more.")
    detail: str = Field(description="What is wrong here, and what to do.")


class Kind(Enum):
    """The kinds of problem, with the status of the answer."""

    UNKNOWN_PARAMETER = ("Unknown parameter", 400)
    INVALID_PARAMETER = ("Invalid parameter", 400)
    INVALID_CURSOR = ("Invalid cursor", 400)
    BAD_REQUEST = ("Bad request", 400)
    KEY_NEEDED = ("A key is needed", 401)
    NOT_FOUND = ("Not found", 404)
    METHOD_NOT_ALLOWED = ("Method not allowed", 405)
    BODY_REFUSED = ("No body is taken", 413)
    DEFECT = ("Defect", 500)
    UNAVAILABLE = ("Unavailable for the moment", 503)

    @property
    def title(self) -> str:
        return str(self.value[0])

    @property
    def status(self) -> int:
        return int(self.value[1])

    @property
    def type(self) -> str:
        return f"urn:entra-sms:{self.name.lower().replace('_', '-')}"


class ProblemError(Exception):
    """A request that is answered with a problem."""

    def __init__(self, kind: Kind, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.headers = headers or {}


def answer(error: ProblemError) -> Response:
    kind = error.kind
    body = Problem(type=kind.type, title=kind.title, status=kind.status, detail=str(error))
    response = Response(body.model_dump_json() + "\n", kind.status, mimetype=MEDIA_TYPE)
    response.headers.update(error.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


def _documented(description: str, **headers: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    found: dict[str, Any] = {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}
    if headers:
        found["headers"] = {
            name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        }
    return found


IN_THE_DOCUMENT: ResponseDict = {
    400: _documented("A parameter is unknown or cannot be; `detail` names the right ones."),
    401: _documented("No key, or one that is unknown, revoked or expired.", WWW_Authenticate="`Bearer`."),
    404: _documented("It is not there, or belongs to a tenant whose address book the key does not open."),
    503: _documented("The database is away; try again.", Retry_After="Seconds to wait."),
}
"""The problems that every route may answer with."""
