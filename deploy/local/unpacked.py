"""Debian packages without root: their archives are downloaded and unpacked into a folder, nothing is installed.

apt-get itself says what is missing on this machine (a simulated installation); where its lists are missing too, a
private set of lists is fetched beside the packages. Which tree a program was unpacked into shows in its environment
only: PATH, the libraries, and for Erlang a starter of our own, because Debian's has the system's folder written in.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy.local.errors import LocalServiceError

_STATUS = Path("/var/lib/dpkg/status")
_PACKAGE_LINE = re.compile(r"^Inst (\S+)", re.MULTILINE)
# Some packages keep private libraries in a folder of their own, one level deeper.
_LIBRARIES = ("lib/*-linux-gnu*/*.so*", "usr/lib/*-linux-gnu*/*.so*", "usr/lib/*-linux-gnu*/*/lib*.so*")
_ERL = """#!/bin/sh
export ROOTDIR={root} BINDIR={erts}/bin EMU=beam PROGNAME=erl
exec "$BINDIR/erlexec" ${{1+"$@"}}
"""


def unpack(package: str, prefix: Path) -> None:
    """Unpack a package with all that it needs and this machine lacks; `prefix` appears complete or not at all."""
    draft = prefix.with_name(f"{prefix.name}.new-{os.getpid()}")
    archives = draft / "archives"
    archives.mkdir(parents=True)
    try:
        apt = _apt(draft / "apt")
        names = _PACKAGE_LINE.findall(_run([*apt, "install", "-s", "--no-install-recommends", package], archives))
        _run([*apt, "download", *names], archives)
        for archive in sorted(archives.glob("*.deb")):
            _run(["dpkg", "-x", str(archive), str(draft)], archives)
        shutil.rmtree(archives)
        shutil.rmtree(draft / "apt", ignore_errors=True)
        _write_erl(draft, prefix)
        shutil.rmtree(prefix, ignore_errors=True)
        draft.rename(prefix)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def environment(prefix: Path, path: str) -> dict[str, str]:
    """The variables by which programs of the tree find each other."""
    programs = [prefix / "own-bin", *(prefix / folder for folder in ("usr/sbin", "usr/bin", "sbin", "bin"))]
    shared = {path.parent for depth in _LIBRARIES for path in prefix.glob(depth)}
    libraries = sorted(shared, key=lambda folder: (len(folder.parts), folder))
    return {
        "PATH": ":".join([*(str(folder) for folder in programs if folder.is_dir()), path]),
        "LD_LIBRARY_PATH": ":".join(str(folder) for folder in libraries),
    }


def _apt(state: Path) -> list[str]:
    """apt-get with the machine's lists, or with private ones where the machine has none."""
    if any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        return ["apt-get"]
    (state / "lists" / "partial").mkdir(parents=True)
    (state / "cache" / "archives" / "partial").mkdir(parents=True)
    options = {"Dir::State::Lists": state / "lists", "Dir::Cache": state / "cache", "Dir::State::status": _STATUS}
    apt = ["apt-get", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    _run([*apt, "update"], state)
    return apt


def _write_erl(draft: Path, prefix: Path) -> None:
    """A starter of Erlang that knows where the tree will be."""
    for erts in sorted(draft.glob("usr/lib/erlang/erts-*")):
        home = prefix / erts.parent.relative_to(draft)
        erl = draft / "own-bin" / "erl"
        erl.parent.mkdir(exist_ok=True)
        erl.write_text(_ERL.format(root=home, erts=home / erts.name))
        erl.chmod(0o755)


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise LocalServiceError(f"`{' '.join(command[:3])} ...` failed: {done.stdout.strip()[-600:]}")
    return done.stdout
