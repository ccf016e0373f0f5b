"""Looks for a secret in bytes, in the forms in which programs write things down."""

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path


def forms(secret: str) -> set[bytes]:
    """A text as bytes: plain, as UTF-16, hexadecimal, and in base64 wherever it may stand in what was encoded."""
    plain = secret.encode()
    found = {plain, plain.hex().encode(), plain.hex().upper().encode(), secret.encode("utf-16-le")}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + plain)
        # The first and the last signs depend on what stands around it.
        middle = encoded[4 if before else 0 : -4]
        found |= {middle, middle.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def holds(content: bytes, secret: str) -> bool:
    return any(form in content for form in forms(secret))


def files_below(folder: Path) -> Iterator[Path]:
    """Every regular file, also of a folder in which others come and go."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def holding(paths: Iterable[Path], secret: str) -> list[Path]:
    """Those of the files that hold the secret in some form; a file that is gone by now holds nothing."""
    found = []
    for path in paths:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        if holds(content, secret):
            found.append(path)
    return found
