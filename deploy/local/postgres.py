"""A private PostgreSQL cluster for a run: own data, own port, a generated password, no socket outside loopback.

PostgreSQL refuses to run as root. Root therefore starts it as another user, who owns the data and, when a folder above
is closed to it (as /root is), gets the one capability that lets it walk through.
"""

import json
import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import psycopg

from deploy.local import packages
from deploy.local.errors import LocalServiceError
from deploy.local.packages import Installation
from deploy.local.ports import Reservation
from deploy.local.processes import Ending, Process
from deploy.local.runs import Run, Say, end_processes, runs_there, say

USER = "local"
_START_SECONDS = 60.0
_POLL_SECONDS = 0.02
# A test cluster that loses power is made anew: nothing waits for the disk.
_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}
# SIGINT is PostgreSQL's fast stop. SIGKILL would leak its shared memory, and SIGTERM waits for clients.
_ENDING = Ending("INT", orphaned="INT")
_SEARCH_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}


@dataclass(frozen=True)
class Cluster:
    """How to reach a cluster, as its superuser."""

    port: int
    password: str
    host: str = "127.0.0.1"
    user: str = USER

    def url_of(self, database: str) -> str:
        """For SQLAlchemy with psycopg."""
        return f"postgresql+psycopg://{self._place_of(database)}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection in autocommit mode, as creating and dropping databases needs it."""
        return psycopg.connect(f"postgresql://{self._place_of(database)}", autocommit=True, connect_timeout=10)

    def is_ready(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _place_of(self, database: str) -> str:
        return f"{self.user}:{self.password}@{self.host}:{self.port}/{quote(database, safe='')}"


def start(run: Run, *, fresh: bool = False, kept: bool = False, tell: Say = say) -> Cluster:
    """The cluster of a run, ready; the arguments are those of `broker.start`."""
    folder = run.directory / "postgres"
    running = find(run.directory)
    if running is not None:
        return running
    end_processes(run.directory, "postgres")  # one that stayed up but does not answer
    installation = packages.ensure(packages.POSTGRESQL, tell=tell)
    tell(f"Starting a private PostgreSQL cluster in {folder} (about 1 s) ...")
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    password = _password(folder) or create(folder, installation)
    with Reservation(1) as reservation:
        return _start(run, Cluster(reservation.ports[0], password), folder, installation, kept=kept)


def find(directory: Path) -> Cluster | None:
    """The cluster that is up for a run's folder, whoever started it."""
    try:
        cluster = Cluster(**json.loads((directory / "postgres" / "cluster.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return cluster if runs_there(directory, "postgres") and cluster.is_ready() else None


def create(folder: Path, installation: Installation) -> str:
    """Make a new cluster's data in `folder`, in place of what is there, and return its password."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    password = secrets.token_hex(12)
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    _give_away(folder, secret)
    initdb = installation.find("usr/lib/postgresql/*/bin/initdb")
    command = [str(initdb), "-D", str(folder / "data"), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8"]
    command += ["-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync", "--no-instructions"]
    done = subprocess.run(
        ["setpriv", *privileges(folder), "--", *command],
        cwd="/",
        env=_environment(installation),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LocalServiceError(f"PostgreSQL's initdb failed in {folder}: {done.stderr.strip()[-800:]}")
    return password


def _start(run: Run, cluster: Cluster, folder: Path, installation: Installation, *, kept: bool) -> Cluster:
    server = start_server(run, cluster, folder, installation, kept=kept)
    _wait(server, cluster)
    record = folder / "cluster.json"
    record.touch(mode=0o600)
    record.write_text(json.dumps(asdict(cluster)))
    return cluster


def start_server(
    run: Run,
    cluster: Cluster,
    folder: Path,
    installation: Installation,
    *,
    name: str = "postgres",
    options: Mapping[str, str] = MappingProxyType({}),
    kept: bool = False,
) -> Process:
    """Start the server on the data in `folder`; it is not ready yet. `options` replace or complete the usual ones."""
    postgres = installation.find("usr/lib/postgresql/*/bin/postgres")
    words = [word for option, value in {**_OPTIONS, **options}.items() for word in ("-c", f"{option}={value}")]
    command = [str(postgres), "-p", str(cluster.port), *words, "-D", str(folder / "data")]
    return run.start(
        name,
        command,
        env=_environment(installation),
        cwd=Path("/"),
        kept=kept,
        ending=_ENDING,
        setpriv=privileges(folder),
    )


def _wait(server: Process, cluster: Cluster) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not cluster.is_ready():
        server.require_alive()
        if time.monotonic() > deadline:
            raise LocalServiceError(f"PostgreSQL did not get ready in {_START_SECONDS:.0f} s; see {server.log}.")
        time.sleep(_POLL_SECONDS)


def _password(folder: Path) -> str | None:
    """The password that complete data was made with."""
    try:
        return str(json.loads((folder / "cluster.json").read_text())["password"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _environment(installation: Installation) -> dict[str, str]:
    return installation.environment() | {"LC_ALL": "C.UTF-8"}


def privileges(folder: Path) -> list[str]:
    """The options of setpriv(1) under which PostgreSQL can run on that folder; none but for root."""
    if os.geteuid() != 0:
        return []
    user = _server_user()
    options = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    if not all(parent.stat().st_mode & 0o001 for parent in folder.resolve().parents):
        capability = _search_capability()
        options += [f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}"]
    return options


def _give_away(*paths: Path) -> None:
    if os.geteuid() == 0:
        user = _server_user()
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid)


def _server_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise LocalServiceError(
        "PostgreSQL refuses to run as root, and there is no user to run it as; run as another user."
    )


def _search_capability() -> str:
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    for name, bit in _SEARCH_CAPABILITIES.items():
        if effective >> bit & 1:
            return name
    raise LocalServiceError("PostgreSQL refuses to run as root and cannot be let into this folder; clone elsewhere.")
