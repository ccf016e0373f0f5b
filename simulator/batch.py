"""JSON batching: up to twenty requests in one, answered in any order.

Source: "Combine multiple HTTP requests using JSON batching" of the Microsoft Graph documentation.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, request

from simulator.answers import json_answer
from simulator.gate import Gate
from simulator.graph_errors import GraphError

MOST_REQUESTS = 20


def routes(gate: Gate) -> Blueprint:
    blueprint = Blueprint("batch", __name__)

    @blueprint.post("/$batch")
    def batch() -> Response:
        gate.identify()
        done: dict[str, dict[str, Any]] = {}
        for each in _requests():
            done[each["id"]] = _dependency_failed(each, done) or _perform(each)
        # Callers have to match answers by id, so the order is turned round.
        return json_answer({"responses": list(reversed(done.values()))})

    return blueprint


def _requests() -> list[dict[str, Any]]:
    body = request.get_json(force=True, silent=True)
    inner = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(inner, list) or not 1 <= len(inner) <= MOST_REQUESTS:
        raise GraphError(400, "BadRequest", f"A batch holds from 1 to {MOST_REQUESTS} requests.")
    for each in inner:
        known = isinstance(each, dict) and all(isinstance(each.get(key), str) for key in ("id", "method", "url"))
        if not known or not each["url"].startswith("/") or each["url"].startswith("/$batch"):
            raise GraphError(400, "BadRequest", "Each request of a batch needs an id, a method and a relative url.")
    if len({each["id"] for each in inner}) != len(inner):
        raise GraphError(400, "BadRequest", "The ids of a batch must be different.")
    return inner


def _dependency_failed(each: dict[str, Any], done: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    for name in each.get("dependsOn") or ():
        if name not in done or done[name]["status"] >= 400:
            error = {"code": "FailedDependency", "message": "A request that this one depends on has failed."}
            return {"id": each["id"], "status": 424, "headers": {}, "body": {"error": error}}
    return None


def _perform(each: dict[str, Any]) -> dict[str, Any]:
    headers = {"Authorization": request.headers["Authorization"], "Host": request.host, **(each.get("headers") or {})}
    answer = current_app.test_client().open(
        f"/v1.0{each['url']}",
        method=each["method"].upper(),
        headers=headers,
        json=each.get("body"),
        base_url=f"https://{request.host}",
    )
    kept = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
    return {"id": each["id"], "status": answer.status_code, "headers": kept, "body": answer.get_json(silent=True)}
