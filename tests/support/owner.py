"""A second process that owns a run, so that a test can kill it.

`python -m tests.support.owner VAR PURPOSE SERVICE [untied]` claims the run, starts the service, says "ready" and stays.
`untied` starts it without the kernel's death signal: the leftover that a later start must find.
"""

import subprocess
import sys
import threading
from pathlib import Path

from deploy.local import broker, postgres
from deploy.local.paths import ROOT
from deploy.local.runs import Run, exit_on_signals


def owner(var: Path, purpose: str, service: str, *, tied: bool = True) -> subprocess.Popen[bytes]:
    """Start the other process and wait until its service is ready."""
    words = [str(var), purpose, service, *([] if tied else ["untied"])]
    command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.support.owner", *words]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        assert output.readline() == b"ready\n"
    return child


def _start(run: Run, service: str) -> None:
    match service:
        case "rabbitmq":
            broker.start(run)
        case "postgres":
            postgres.start(run)
        case _:
            run.start("sleeper", ["sleep", service])


def main() -> None:
    var, purpose, service, *untied = sys.argv[1:]
    exit_on_signals()
    with Run.claim(purpose, var=Path(var)) as run:
        if untied:  # only the main thread asks for the death signal
            starter = threading.Thread(target=_start, args=(run, service))
            starter.start()
            starter.join()
        else:
            _start(run, service)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
