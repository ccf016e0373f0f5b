"""The Flask application: routes put together, and what every Graph answer has in common."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from simulator import batch, delta
from simulator.answers import json_answer, plain_json
from simulator.clock import timestamp
from simulator.control import Control
from simulator.disturbances import disturb
from simulator.gate import Gate
from simulator.graph_errors import GraphError
from simulator.oauth import Login
from simulator.objects import Objects
from simulator.subscriptions import Subscriptions
from simulator.throttling import throttled_inner
from simulator.world import World

_GRAPH = "/v1.0"
_LARGEST_BODY = 4 * 1024 * 1024


def create_app(world: World) -> Flask:
    """Return the application that serves login, Graph and control API of a world."""
    app = Flask("simulator", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY
    app.url_map.strict_slashes = False
    gate = Gate(world)
    # Delta comes before the object reads, whose ids would match it otherwise.
    for blueprint in (
        delta.routes(gate),
        Objects(gate).routes(),
        Subscriptions(gate, world).routes(),
        batch.routes(gate),
    ):
        app.register_blueprint(blueprint, url_prefix=_GRAPH)
    app.register_blueprint(Control(world).routes(), url_prefix="/control")
    app.register_blueprint(Login(world).routes())
    app.register_error_handler(GraphError, _graph_error)
    app.register_error_handler(HTTPException, _http_error)
    app.before_request(_begin)
    app.after_request(_finish)
    return app


def _begin() -> None:
    g.request_id = str(uuid.uuid4())


def _graph_error(problem: GraphError) -> Response:
    now = world_time()
    inner: dict[str, Any] = {
        "date": timestamp(now, suffix=""),
        "request-id": g.request_id,
        "client-request-id": request.headers.get("client-request-id") or g.request_id,
    }
    if problem.status == 429:
        inner = throttled_inner(now, g.request_id)
    return json_answer(problem.body(inner), problem.status, problem.headers)


def _http_error(problem: HTTPException) -> Response:
    status = problem.code or 500
    if not request.path.startswith(_GRAPH):
        return plain_json({"error": problem.name, "message": problem.description}, status)
    segment = request.path.rstrip("/").rpartition("/")[2]
    if status == 404:
        return _graph_error(GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'."))
    return _graph_error(GraphError(status, "Request_BadRequest", problem.description or problem.name))


def world_time() -> float:
    """Return the wall time of this answer in epoch seconds."""
    tenant = g.get("tenant")
    return float(tenant.clock.wall()) if tenant is not None else 0.0


def _finish(answer: Response) -> Response:
    tenant = g.get("tenant")
    is_graph = request.path.startswith(_GRAPH)
    if is_graph:
        answer.headers["request-id"] = g.request_id
        answer.headers["client-request-id"] = request.headers.get("client-request-id") or g.request_id
        answer.headers["x-ms-ags-diagnostic"] = '{"ServerInfo":{"DataCenter":"Simulated","Slice":"E","Ring":"1"}}'
    if tenant is None:
        return answer
    # Refused requests are free.
    units = 0 if answer.status_code in (400, 401, 403) else g.get("cost", 0)
    if is_graph and units:
        answer.headers["x-ms-resource-unit"] = str(units)
        if (share := g.get("throttle_share", 0.0)) > 0.8:
            answer.headers.setdefault("x-ms-throttle-limit-percentage", f"{min(share, 1.8):.2f}")
    rule = request.url_rule.rule if request.url_rule else request.path
    tenant.statistics.request(f"{request.method} {rule}", answer.status_code, units)
    return disturb(answer, tenant.faults) if is_graph else answer
