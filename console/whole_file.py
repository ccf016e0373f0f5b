"""A file that is there whole or not at all, for its owner alone: what is exported is about people."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from console.exits import ConsoleError


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Yield a new file (UTF-8, mode 0600, line breaks as written) that takes the place of `path` at the end.

    When anything goes wrong before, what was at `path` is there as it was, and nothing else.

    Raises:
        ConsoleError: there can be no such file.
    """
    path = path.resolve()  # a link stays one
    if path.exists() and not path.is_file():
        raise ConsoleError(f"{path} is not a file. Without --output it all goes to standard output.")
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - a handle that is open already
            yield file
            file.flush()
            os.fsync(handle)
        Path(beside).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        Path(beside).unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> ConsoleError:
    return ConsoleError(f"{path} cannot be written: {error.strerror or error}.")
