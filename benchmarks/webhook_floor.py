"""The least that Flask can do: an application that answers 202 to the webhook's address and looks at nothing.

gunicorn runs it with the webhook's own configuration, which expects a publisher there; this one publishes nothing.
"""

from __future__ import annotations

from flask import Flask, Response

from webhook.metrics import Metrics


class Idle:
    """Stands where the webhook has its publisher."""

    def is_connected(self) -> bool:
        return True

    def close(self) -> None:
        pass


def create_app() -> Flask:
    made = Flask("floor", static_folder=None)
    made.extensions["publisher"] = Idle()
    made.extensions["metrics"] = Metrics()
    made.add_url_rule("/graph/notifications", "post", lambda: Response(status=202), methods=["POST"])
    return made


app = create_app()
