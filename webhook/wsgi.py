"""What gunicorn runs: ``gunicorn -c deploy/gunicorn.conf.py webhook.wsgi:app``.

Built from the environment in each process, after the fork; opens nothing itself.
"""

from __future__ import annotations

from common import config
from common.broker.publisher import Publisher
from webhook.app import create_app

_settings = config.load()

app = create_app(_settings, Publisher(_settings, "webhook"))
