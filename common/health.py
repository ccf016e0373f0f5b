"""Whether a process runs, and whether it can do its work. Says nothing else: strangers may ask too."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response

Check = Callable[[], str | None]
"""Returns what is wrong, in two or three words that tell a stranger nothing; None when nothing is."""


def register(app: Flask, *, live: Check, ready: Check) -> None:
    """Answer ``/health/live`` (restart it if this fails) and ``/health/ready`` (send it no work while this fails)."""
    for word, check in (("live", live), ("ready", ready)):
        path = f"/health/{word}"
        app.add_url_rule(path, path, _view(word, check), methods=["GET"], provide_automatic_options=False)


def _view(word: str, check: Check) -> Callable[[], Response]:
    def view() -> Response:
        trouble = check()
        status = 200 if trouble is None else 503
        return Response(f'{{"status":"{trouble or word}"}}\n', status, mimetype="application/json")

    return view
