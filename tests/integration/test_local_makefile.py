"""The Makefile: what is given on its command line becomes options of the program, and nothing else does."""

import os
import subprocess

from deploy.local.paths import ROOT


def planned(*words: str, **variables: str) -> str:
    """What make would run, without running it."""
    make = ["make", "--dry-run", "--no-print-directory", *words]
    env = os.environ | variables
    done = subprocess.run(make, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return " ".join(done.stdout.splitlines()[-1].split())


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
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in listed.splitlines()] == verbs
