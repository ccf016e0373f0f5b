"""Lets the command be run as ``python -m console``."""

from __future__ import annotations

from console.cli import main

main()
