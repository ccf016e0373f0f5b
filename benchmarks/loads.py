"""What is posted to a server, and by whom: as fast as it answers (wrk), or at a rate (`benchmarks.open_loop`)."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.open_loop import WARM_UP_SECONDS
from deploy.local import packages
from deploy.local.errors import LocalServiceError
from tests.load.wire import HONEST, Target, notification, object_id, post

DIFFERENT = 1_000
"""So many different objects are named: one after the other, and again."""

_SCRIPT = Path(__file__).with_name("closed_loop.lua")
_END_SECONDS = 60.0


@dataclass(frozen=True)
class Requests:
    """Requests in a file, one behind the other, all of one length."""

    file: Path
    length_bytes: int

    @classmethod
    def made(cls, file: Path, target: Target, items: int) -> Requests:
        """Write POSTs of so many items each, as Graph sends them."""
        each = [json.loads(notification(target, object_id(HONEST, number)))["value"][0] for number in range(DIFFERENT)]
        bodies = [json.dumps({"value": each[start : start + items]}).encode() for start in range(0, DIFFERENT, items)]
        posts = [post(body) for body in bodies]
        [length] = {len(one) for one in posts}
        file.write_bytes(b"".join(posts))
        return cls(file, length)


@dataclass(frozen=True)
class Load:
    """What came of posting; `cpu_seconds` is the generator's own."""

    seconds: float
    statuses: Mapping[str, int]
    p50_ms: float
    p99_ms: float
    longest_ms: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Requests a second that were answered with 202."""
        return self.statuses.get("202", 0) / self.seconds

    @property
    def share_taken(self) -> float:
        """The share of requests that was answered with 202."""
        return self.statuses.get("202", 0) / sum(self.statuses.values())


def as_fast_as_it_answers(port: int, requests: Requests, *, connections: int, seconds: float) -> Load:
    """Post over so many connections, on each the next request when the last one is answered.

    Raises:
        LocalServiceError: wrk is missing and cannot be installed, or not everything was answered.
    """
    wrk = packages.ensure(packages.WRK)
    command = [str(wrk.find("usr/bin/wrk")), "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{seconds:.0f}s", "--timeout", "15s", "--script", str(_SCRIPT)]
    command += [f"http://127.0.0.1:{port}/", "--", str(requests.file), str(requests.length_bytes)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = _output(command, seconds, wrk.environment())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if found["lost"]:
        raise LocalServiceError(f"{found['lost']} of {found['requests']} requests were not answered.")
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _load(
        found["seconds"], {"202": found["requests"] - found["refused"], "503": found["refused"]}, cpu_seconds, found
    )


def at_a_rate(port: int, requests: Requests, *, rate: float, connections: int, seconds: float) -> Load:
    """Post so many times a second, whatever is answered."""
    numbers = (str(port), f"{rate:g}", f"{seconds:g}", str(connections), str(requests.file), str(requests.length_bytes))
    found = _output([sys.executable, "-m", "benchmarks.open_loop", *numbers], seconds, None)
    return _load(seconds - WARM_UP_SECONDS, found["statuses"], found["cpu_seconds"], found)


def _load(seconds: float, statuses: Mapping[str, int], cpu_seconds: float, found: Mapping[str, Any]) -> Load:
    return Load(seconds, statuses, found["p50_ms"], found["p99_ms"], found["longest_ms"], cpu_seconds)


def _output(command: list[str], seconds: float, environment: Mapping[str, str] | None) -> dict[str, Any]:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=seconds + _END_SECONDS, check=False
    )
    if done.returncode != 0:
        raise LocalServiceError(f"{command[0]} ended with {done.returncode}: {done.stderr or done.stdout}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
