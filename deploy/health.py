"""Whether the process of this container answers: ``python deploy/health.py webhook|worker|api|simulator``.

Status 0 when it does, else 1 and a sentence. Asks on loopback only, and whether there is an answer, not who gives it.
It asks whether the process lives, not whether it is ready: one that lost its broker or database comes back by itself,
and must not be restarted for that. Whether all is well is told by `entra-sms status` and the metrics.
"""

from __future__ import annotations

import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

ANSWER_SECONDS = 4
SIMULATOR_PORT = 8443


def address(process: str, environment: Mapping[str, str]) -> str:
    """Return what to ask, from the same settings that the process reads."""
    if process == "webhook":
        scheme = "https" if environment.get("ENTRA_SMS_WEBHOOK_TLS_CERTIFICATE") else "http"
        port = environment.get("ENTRA_SMS_WEBHOOK_BIND", "127.0.0.1:8080").rpartition(":")[2]
        return f"{scheme}://127.0.0.1:{port}/health/live"
    if process == "worker":
        port = environment.get("ENTRA_SMS_METRICS_BIND", "127.0.0.1:0").rpartition(":")[2]
        return f"http://127.0.0.1:{port}/health/live"
    if process == "api":
        port = environment.get("ENTRA_SMS_API_BIND", "127.0.0.1:8720").rpartition(":")[2]
        return f"http://127.0.0.1:{port}/health/live"
    return f"https://127.0.0.1:{SIMULATOR_PORT}/control/health"


def trouble(url: str) -> str | None:
    """Return why `url` is not answered with 200, or None when it is."""
    context = ssl.create_default_context()
    context.check_hostname = False  # a certificate names the public host, not loopback
    context.verify_mode = ssl.CERT_NONE
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=ANSWER_SECONDS):
            return None
    except (OSError, ValueError) as error:
        return f"{url}: {error}"


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("webhook", "worker", "api", "simulator"):
        sys.exit("usage: python deploy/health.py webhook|worker|api|simulator")
    sys.exit(trouble(address(sys.argv[1], os.environ)))
