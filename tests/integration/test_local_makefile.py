"""The Makefile: what is given on its command line becomes options of the program, and nothing else does."""

import os
import subprocess

from deploy.local.paths import ROOT


def output_of(make: list[str], **variables: str) -> list[str]:
    """The lines of a make that knows nothing of the make that may have started these tests."""
    env = {name: value for name, value in os.environ.items() if "MAKE" not in name} | variables
    return subprocess.run(make, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout.splitlines()


def planned(*words: str, **variables: str) -> str:
    """What make would run, without running it."""
    return " ".join(output_of(["make", "--dry-run", *words], **variables)[-1].split())


def test_variables_become_options() -> None:
    assert planned("demo", "SECONDS=30", "USERS=200") == (
        "var/venv/bin/python -m deploy.local.demo --seconds '30' --users '200'"
    )
    assert planned("smoke", "FAULTS=all", "WORKERS=2", "SEED=7") == (
        "var/venv/bin/python -m deploy.local.smoke --workers '2' --faults 'all' --seed '7'"
    )


def test_variables_of_the_shell_are_no_options() -> None:
    assert planned("demo", SECONDS="12", USERS="3", GROUPS="0") == "var/venv/bin/python -m deploy.local.demo"


def test_help_has_a_line_for_every_verb() -> None:
    makefile = (ROOT / "Makefile").read_text()
    verbs = makefile.partition(".PHONY:")[2].splitlines()[0].split()
    assert [line.split()[1] for line in output_of(["make"])] == verbs
