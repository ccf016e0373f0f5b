"""The webhook as it is shipped, and the floor in the same gunicorn: started, awaited, and asked for their costs."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import Reservation
from deploy.local.processes import Process
from deploy.local.runs import Run
from tests.load.wire import PATH, Target, notification, object_id
from tests.support.eventually import eventually
from tests.support.notifications import SECRET_KEY

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """One that runs, on loopback, without TLS: as behind a proxy."""

    process: Process
    port: int

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken, with its processes."""
        return cpu_seconds_of(self.process.pid)

    def answers(self, body: bytes) -> bool:
        self.process.require_alive()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("POST", PATH, body, {"Content-Type": "application/json"})
            return connection.getresponse().status == 202
        finally:
            connection.close()


def start(
    run: Run,
    reservation: Reservation,
    target: Target,
    application: str,
    amqp_url: str,
    tree: Path,
    options: Sequence[str] = (),
) -> Server:
    """Return a server that takes notifications; `tree` is the folder with the code it runs, `options` gunicorn's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENTRA_SMS_")} | {
        "ENTRA_SMS_SECRET_KEY": SECRET_KEY,
        "ENTRA_SMS_AMQP_URL": amqp_url,
        "ENTRA_SMS_WEBHOOK_BIND": f"127.0.0.1:{target.port}",
        "ENTRA_SMS_METRICS_BIND": f"127.0.0.1:{reservation.ports[-1]}",
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", *options, application]
    server = Server(run.start(f"server-{target.port}", command, env=environment, cwd=tree), target.port)
    body = notification(target, object_id(0, 1))
    eventually(lambda: server.answers(body), within_seconds=_START_SECONDS, despite=(OSError,), what=application)
    return server


def cpu_seconds_of(pid: int) -> float:
    """Return the processor time of a process and of its children that live."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds_of(int(child)) for child in children)
