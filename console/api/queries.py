"""Parameters of the query, read strictly: one that is not known, or given twice, is refused instead of passed over."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from flask import request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from console.api.problems import Kind, ProblemError

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1_000
LONGEST_TEXT = 200
MOST_GROUPS = 100

Nothing = SkipJsonSchema[None]
"""What a parameter is that was left out; the document does not say that it could be given as null."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT, pattern=r"^[^\u0000]*$")]
"""PostgreSQL has no texts with a zero byte in them."""


def maybe(description: str, **more: Any) -> Any:
    """Return the field of a parameter that may be left out."""

    def without_null(schema: dict[str, Any]) -> None:
        del schema["default"]

    return Field(None, description=description, json_schema_extra=without_null, **more)


class Query(BaseModel):
    """The base of all parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def model_json_schema(cls, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Return the schema, made once: flask-openapi3 asks for it with every request, and it takes long."""
        return _schema_of(cls, arguments, tuple(named.items()))

    @model_validator(mode="before")
    @classmethod
    def _strict(cls, given: dict[str, Any]) -> dict[str, Any]:
        known = {field.alias or name: field for name, field in cls.model_fields.items()}
        for name, value in given.items():
            if name not in known:
                raise ProblemError(Kind.UNKNOWN_PARAMETER, _unknown(name, list(known)))
            if not isinstance(value, list) and len(request.args.getlist(name)) > 1:
                raise ProblemError(Kind.INVALID_PARAMETER, f"{name}: it is given more than once.")
        return given


@cache
def _schema_of(model: type[Query], arguments: tuple[Any, ...], named: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    return super(Query, model).model_json_schema(*arguments, **dict(named))


class PageQuery(Query):
    """Which page of a list."""

    limit: int = Field(
        DEFAULT_LIMIT,
        ge=1,
        le=LARGEST_LIMIT,
        description="How many at most. A page may have fewer and not be the last.",
    )
    cursor: Text | Nothing = maybe("`next_cursor` of the page before; without it the list begins.")


class InTenant(BaseModel):
    """The path of what belongs to a tenant."""

    tenant_id: UUID = Field(description="Directory (tenant) ID.")


class OneOfTenant(InTenant):
    """The path of a person or a group of a tenant."""

    object_id: UUID = Field(description="Object id in the directory.")


def refuse(error: ValidationError) -> ProblemError:
    """Return the problem that says which parameters cannot be, and why."""
    # A parameter that may be left out is also tried as nothing, which is no news.
    found = [one for one in error.errors() if one["type"] != "none_required"]
    troubles = [f"{one['loc'][0]}: {one['msg']}." for one in found]
    return ProblemError(Kind.INVALID_PARAMETER, " ".join(troubles))


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return f"There is no parameter {name!r}: nothing can be asked for here."
    nearest = get_close_matches(name, known, n=1)
    offer = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return f"There is no parameter {name!r}.{offer} There are: {', '.join(known)}."
