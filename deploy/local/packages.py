"""Programs from Debian packages: found, installed with apt-get, or unpacked below `var/` where nobody may install.

Works before the virtual environment exists: nothing but Python is needed here.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.local import unpacked
from deploy.local.errors import LocalServiceError
from deploy.local.locks import locked
from deploy.local.paths import VAR
from deploy.local.runs import Say, say

_INSTALLER = Path(__file__).with_name("apt_install.sh")
_LOG_LINES_SHOWN = 8


@dataclass(frozen=True)
class Package:
    """A Debian package, how to tell that it is there, and what a person does who cannot have it."""

    name: str
    patterns: tuple[str, ...]  # of files that must exist: its own program first, then what that needs
    seconds: int  # what the installation takes on an ordinary machine
    otherwise: str
    unpacks: bool = True  # also works from a folder below var/
    service: str = ""  # of systemd, which the package brings

    def is_in(self, prefix: Path) -> bool:
        """Whether the program is there, and what it needs too or else in the system."""
        own, *needed = self.patterns
        return any(prefix.glob(own)) and all(_newest(prefix, pattern) for pattern in needed)


@dataclass(frozen=True)
class Installation:
    """Where the files of a package are: below `/` or below `var/packages/<name>`."""

    prefix: Path

    def find(self, pattern: str) -> Path:
        """The file of that pattern; of several versions the newest one."""
        found = _newest(self.prefix, pattern)
        if found is None:
            raise LocalServiceError(f"There is no {pattern} in {self.prefix}; run `make clean` and try again.")
        return found

    def environment(self) -> dict[str, str]:
        """PATH and, for an unpacked tree, where its own programs and libraries are."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        if self.prefix == Path("/"):
            return {"PATH": path}
        return unpacked.environment(self.prefix, path)


RABBITMQ = Package(
    name="rabbitmq-server",
    patterns=("usr/lib/rabbitmq/bin/rabbitmq-server", "usr/lib/erlang/erts-*/bin/erlexec"),
    seconds=15,
    otherwise="or point ENTRA_SMS_AMQP_URL at a broker that exists, "
    "as in: export ENTRA_SMS_AMQP_URL=amqp://user:password@localhost:5672/",
    service="rabbitmq-server",
)
POSTGRESQL = Package(
    name="postgresql",
    patterns=("usr/lib/postgresql/*/bin/postgres", "usr/lib/postgresql/*/bin/initdb"),
    seconds=15,
    otherwise="or run the tests that need no PostgreSQL: make test ARGS='-k \"not postgresql\"'",
)
CHROMIUM = Package(
    name="chromium",
    patterns=("usr/lib/chromium/chromium",),
    seconds=30,
    otherwise="or leave out the tests that need a browser",
)
WRK = Package(
    name="wrk",
    patterns=("usr/bin/wrk",),
    seconds=5,
    otherwise="or leave the benchmark of the webhook out: make bench ONLY=full_round",
)
CURL = Package(
    name="curl",
    patterns=("usr/bin/curl",),
    seconds=5,
    otherwise="or leave out the test that runs the lines of docs/http-api.md",
)
VENV = Package(
    name="python3-venv",
    patterns=("usr/lib/python3*/ensurepip/__init__.py",),
    seconds=5,
    otherwise="or name a Python that has the modules venv and ensurepip: make PYTHON=/path/to/python3",
    unpacks=False,  # its wheels must be in the system's folder
)
SERVICES = (RABBITMQ, POSTGRESQL, CHROMIUM)


def ensure(package: Package, *, var: Path = VAR, tell: Say = say) -> Installation:
    """The installation of a package, which is made if there is none."""
    private = var / "packages" / package.name
    found = _find(package, private)
    if found is not None:
        return found
    with locked(var / "packages" / "lock"):  # a second session in this clone waits and then finds it
        return _find(package, private) or _make(package, private, tell)


def _find(package: Package, private: Path) -> Installation | None:
    return next((Installation(prefix) for prefix in (Path("/"), private) if package.is_in(prefix)), None)


def _make(package: Package, private: Path, tell: Say) -> Installation:
    root = root_prefix()
    if root is not None:
        install(package, root, log=private.with_name(f"{package.name}.log"), tell=tell)
        return Installation(Path("/"))
    if not (package.unpacks and shutil.which("apt-get") and shutil.which("dpkg")):
        raise LocalServiceError(_unavailable(package, "only root could, with apt-get"))
    tell(f"Unpacking {package.name} below {private}, since only root could install it (about 20 s) ...")
    try:
        unpacked.unpack(package.name, private)
    except LocalServiceError as error:
        raise LocalServiceError(_unavailable(package, str(error))) from error
    return Installation(private)


def root_prefix() -> list[str] | None:
    """What to put before a command to run it as root without a question; None if that cannot be."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None


def install(package: Package, root: list[str], *, log: Path, tell: Say = say) -> None:
    """Install with apt-get; no service is started, stopped or reconfigured by it."""
    tell(f"Installing {package.name} with apt-get (about {package.seconds} s) ...")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        done = subprocess.run(
            [*root, "sh", str(_INSTALLER), "", package.name],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0 or not package.is_in(Path("/")):
        end = "\n  ".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:])
        raise LocalServiceError(f"{_unavailable(package, 'apt-get failed')}\nThe end of {log}:\n  {end}")
    if package.service and Path("/run/systemd/system").is_dir():
        tell(
            f"The service {package.service} of this machine was not started, and nothing here uses it; "
            f"Debian starts it at the next boot unless you say: systemctl disable {package.service}"
        )


def _newest(prefix: Path, pattern: str) -> Path | None:
    """In the tree, or in the system: only what the system lacked was unpacked."""
    for root in (prefix, Path("/")):
        found = sorted(root.glob(pattern))
        if found:
            return found[-1]
    return None


def _unavailable(package: Package, reason: str) -> str:
    return (
        f"{package.name} is missing and cannot be installed here ({reason}): "
        f"install it as root (apt-get install {package.name}), {package.otherwise}."
    )
