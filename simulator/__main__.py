"""`python -m simulator --users 1000` serves, `python -m simulator certificate` issues certificates."""

from __future__ import annotations

from simulator.cli import main

if __name__ == "__main__":
    main(prog_name="python -m simulator")
