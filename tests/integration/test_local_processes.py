"""Runs and their processes: whatever happens to an owner, nothing of it is left, and nothing else is touched."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import leftovers
from deploy.local.errors import LocalServiceError
from deploy.local.processes import POLITE, Ending, Identity, PidFile, Record
from deploy.local.runs import Run, end_processes, runs_there
from tests.support.eventually import eventually
from tests.support.observed import is_gone
from tests.support.owner import owner

# Each test has a sleeper of its own, told apart by how long it would sleep.
LONG = "86417"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with Run.claim("demo", var=tmp_path) as run:
        yield run


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that no run started."""
    with subprocess.Popen(["sleep", LONG], start_new_session=True) as process:
        yield process
        process.kill()


def pid_in(directory: Path, name: str) -> int:
    record = PidFile(directory / "pids" / f"{name}.json").read()
    assert record is not None
    return record.identity.pid


def test_leaving_a_run_ends_what_it_started(tmp_path: Path) -> None:
    with Run.claim("demo", var=tmp_path) as run:
        child = run.start("sleeper", ["sleep", LONG])
        assert child.exit_status is None
    assert is_gone(child.pid)
    assert not runs_there(run.directory, "sleeper")


def test_children_end_newest_first(run: Run, tmp_path: Path) -> None:
    script = 'trap "echo $0 >> {}; exit" TERM; echo up; while :; do sleep 0.05; done'
    for name in ("broker", "worker"):
        child = run.start(name, ["sh", "-c", script.format(tmp_path / "ends"), name])
        eventually(lambda log=child.log: log.read_text() == "up\n")
    run.close()
    assert (tmp_path / "ends").read_text().split() == ["worker", "broker"]


def test_a_child_that_ignores_sigterm_is_killed_with_all_of_its_session(run: Run) -> None:
    child = run.start(
        "stubborn",
        ["sh", "-c", f"trap '' TERM; sleep {LONG} & echo $!; wait; sleep {LONG}", "stubborn"],
        ending=Ending(grace_seconds=0.1),
    )
    grandchild = int(eventually(child.log.read_text))
    child.stop()
    assert is_gone(child.pid)
    eventually(lambda: is_gone(grandchild))


def test_children_die_with_a_killed_owner(tmp_path: Path) -> None:
    killed = owner(tmp_path, "demo", LONG)
    sleeper = pid_in(tmp_path / "demo", "sleeper")
    assert not is_gone(sleeper)
    killed.kill()
    killed.wait()
    eventually(lambda: is_gone(sleeper))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_owner_that_is_asked_to_end_stops_its_children_itself(tmp_path: Path, how: signal.Signals) -> None:
    asked = owner(tmp_path, "demo", LONG, tied=False)
    sleeper = pid_in(tmp_path / "demo", "sleeper")
    asked.send_signal(how)
    assert asked.wait(30) != -signal.SIGKILL
    assert is_gone(sleeper)
    assert not list((tmp_path / "demo" / "pids").iterdir())


def test_the_next_run_ends_what_a_killed_owner_left(tmp_path: Path) -> None:
    killed = owner(tmp_path, "demo", LONG, tied=False)
    sleeper = pid_in(tmp_path / "demo", "sleeper")
    killed.kill()
    killed.wait()
    assert not is_gone(sleeper)
    with Run.claim("demo", var=tmp_path):
        assert is_gone(sleeper)


def test_a_kept_child_survives_the_next_run(tmp_path: Path) -> None:
    with Run.claim("demo", var=tmp_path) as first:
        child = first.start("sleeper", ["sleep", LONG], kept=True)
    with Run.claim("demo", var=tmp_path) as second:
        assert runs_there(second.directory, "sleeper")
    assert not is_gone(child.pid)
    assert end_processes(second.directory, "sleeper") == ["sleeper"]
    assert is_gone(child.pid)


@pytest.mark.parametrize("lie", [{"started_ticks": 1}, {"boot": "an earlier one"}, {"mark": "rabbitmq"}], ids=str)
def test_a_pid_that_was_used_again_is_left_alone(
    tmp_path: Path, stranger: subprocess.Popen[bytes], lie: dict[str, str]
) -> None:
    identity = Identity.of(stranger.pid, "sleep")
    assert identity is not None
    assert identity.is_alive
    file = PidFile(tmp_path / "demo" / "pids" / "rabbitmq.json")
    file.write(Record(replace(identity, **lie), POLITE, kept=False))
    with Run.claim("demo", var=tmp_path):
        assert stranger.poll() is None
    assert file.read() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"identity": 7}'])
def test_a_damaged_pid_file_stops_nobody(tmp_path: Path, text: str) -> None:
    path = tmp_path / "demo" / "pids" / "rabbitmq.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with Run.claim("demo", var=tmp_path):
        assert not path.exists()


def test_a_second_run_of_a_purpose_is_told_who_runs(run: Run, tmp_path: Path) -> None:
    with pytest.raises(LocalServiceError, match=rf"A demo already runs in this clone \(pid {os.getpid()}\)"):
        Run.claim("demo", var=tmp_path)


def test_runs_that_may_be_several_get_folders_of_their_own(run: Run, tmp_path: Path) -> None:
    with Run.claim("demo", var=tmp_path, several=True) as second:
        assert second.directory == tmp_path / "demo-2"


def test_the_lock_of_a_killed_owner_is_free(tmp_path: Path) -> None:
    killed = owner(tmp_path, "demo", LONG)
    with pytest.raises(LocalServiceError, match=str(killed.pid)):
        Run.claim("demo", var=tmp_path)
    killed.kill()
    killed.wait()
    Run.claim("demo", var=tmp_path).close()


@pytest.mark.parametrize("purpose", ["", "../demo", "Demo", "a b"])
def test_a_purpose_is_a_word(tmp_path: Path, purpose: str) -> None:
    with pytest.raises(LocalServiceError, match="A purpose is a short word"):
        Run.claim(purpose, var=tmp_path)


def test_a_child_that_ended_is_reported_with_the_end_of_its_log(run: Run) -> None:
    with pytest.raises(LocalServiceError, match=r"broken ended (at once )?with status 3(.|\n)*cannot open the shop"):
        eventually(run.start("broken", ["sh", "-c", "echo cannot open the shop; exit 3"]).require_alive)


def test_cleaning_ends_owners_leftovers_and_what_was_kept(tmp_path: Path) -> None:
    living = owner(tmp_path, "demo", LONG)
    left = owner(tmp_path, "smoke", LONG, tied=False)
    left.kill()
    left.wait()
    with Run.claim("test", var=tmp_path) as run:
        run.start("sleeper", ["sleep", LONG], kept=True)
    pids = [pid_in(tmp_path / purpose, "sleeper") for purpose in ("demo", "smoke", "test")]
    ended = leftovers.end_all(tmp_path)
    assert {f"demo (pid {living.pid})", "sleeper of smoke", "sleeper of test"} <= set(ended)
    assert living.wait(30) == 128 + signal.SIGTERM
    for pid in pids:
        eventually(lambda pid=pid: is_gone(pid))
