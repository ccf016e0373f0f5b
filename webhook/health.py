"""Whether the process runs, and whether it can do its work. Says nothing else: strangers may ask too."""

from __future__ import annotations

from flask import Flask, Response

from common.broker.publisher import Publisher


def register(app: Flask, publisher: Publisher) -> None:
    def live() -> Response:
        return _status(200, "live")

    def ready() -> Response:
        return _status(200, "ready") if publisher.is_connected() else _status(503, "broker away")

    for path, view in (("/health/live", live), ("/health/ready", ready)):
        app.add_url_rule(path, path, view, methods=["GET"], provide_automatic_options=False)


def _status(code: int, word: str) -> Response:
    return Response(f'{{"status":"{word}"}}\n', code, mimetype="application/json")
