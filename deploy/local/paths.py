"""Where things live: the root of this clone and its `var/`, the only folder that is written to."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VAR = ROOT / "var"
