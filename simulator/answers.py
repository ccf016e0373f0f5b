"""HTTP answers in the dress that Graph gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response

GRAPH_CONTENT_TYPE = (
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
)


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a Graph answer with a JSON body."""
    answer = Response(orjson.dumps(body), status=status, content_type=GRAPH_CONTENT_TYPE)
    answer.headers["OData-Version"] = "4.0"
    answer.headers.extend(headers or {})
    return answer


def plain_json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON without Graph's trimmings, for the login and the control API."""
    answer = Response(orjson.dumps(body), status=status, content_type="application/json; charset=utf-8")
    answer.headers.extend(headers or {})
    return answer
