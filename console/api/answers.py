"""Answers with data, and their ETags; the shapes that all kinds of things share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field

from console.api import cursors
from console.api.problems import IN_THE_DOCUMENT
from console.api.queries import PageQuery

SECURITY = "key"
_ETAG_LETTERS = 32


class Shape(BaseModel):
    """The base of all that is told; it is filled from the attributes of what `console.reads` returns."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


def example(**values: Any) -> ConfigDict:
    """Return the configuration of a shape of which the document shows an example."""
    return ConfigDict(json_schema_extra={"example": values})


Item = TypeVar("Item", bound=Shape)


class Page(Shape, Generic[Item]):
    """A part of a list, ordered by object id."""

    items: list[Item]
    next_cursor: str | None = Field(description="Give it as `cursor` to go on; null: this was the last page.")


class HasObjectId(Protocol):
    """What a list is made of."""

    @property
    def object_id(self) -> str: ...


def blueprint(name: str, description: str) -> APIBlueprint:
    """Return a part of the API, below ``/v1``, that is read with a key."""
    return APIBlueprint(
        name,
        __name__,
        url_prefix="/v1",
        abp_tags=[Tag(name=name, description=description)],
        abp_security=[{SECURITY: []}],
        abp_responses={304: _NOT_MODIFIED, **IN_THE_DOCUMENT},
    )


def cut(found: Sequence[HasObjectId], query: PageQuery) -> tuple[Sequence[Any], str | None]:
    """Return the items of a page and the cursor of the next; `found` has one more than asked for if there are more."""
    items = found[: query.limit]
    return items, cursors.encode(query, items[-1].object_id) if len(found) > len(items) else None


def answer(told: BaseModel) -> Response:
    """Return `told` as JSON, or 304 if the client has just that.

    The ETag is made of the body. Nothing that is cheaper to find would be right: changes become visible in another
    order than that of their numbers, old ones go, and none is recorded for a row that somebody changed by hand.
    """
    body = told.model_dump_json().encode() + b"\n"
    return with_etag(Response(body, mimetype="application/json"))


def with_etag(response: Response) -> Response:
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:_ETAG_LETTERS])
    response.headers["Cache-Control"] = "private, no-cache"  # kept by whoever asked, and asked for again each time
    response.headers["Vary"] = "Authorization"
    response.make_conditional(request)
    return response


_NOT_MODIFIED = {"description": "What `If-None-Match` names is still right; there is no body."}
