"""When is a change in the book? Seen by looking at the feed of changes all the time, as another process would."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from typing import Self

from sqlalchemy import create_engine, text

from deploy.local.errors import LocalServiceError

LOOK_SECONDS = 0.001
OVERLAP = 20
"""Rows become visible in another order than that of their numbers: so many are looked at again, in each look."""
LONGEST_SECONDS = 60.0
NOBODY = "00000000-0000-0000-0000-000000000000"

_NEWER = text(
    "SELECT sequence, object_id, member_id FROM changes WHERE sequence > :after AND tenant_id <> :but_of "
    "ORDER BY sequence"
)
_HEAD = text("SELECT COALESCE(MAX(sequence), 0) FROM changes")


class Landings:
    """Notes for each object or member when a change of it was first seen; on `time.perf_counter`."""

    def __init__(
        self, database_url: str, *, but_of: str = NOBODY, look_seconds: float = LOOK_SECONDS, overlap: int = OVERLAP
    ) -> None:
        """Look at the changes of all tenants but one; where many threads write, the `overlap` has to be larger."""
        self._but_of = but_of
        self._look_seconds = look_seconds
        self._overlap = overlap
        self._engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
        self._seen: dict[str, float] = {}
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="landings", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._engine.dispose()

    def forget(self, object_id: str) -> None:
        """Wait for a new change of an object that was seen before."""
        with self._changed:
            self._seen.pop(object_id, None)

    def wait_for(self, object_ids: Collection[str]) -> dict[str, float]:
        """Return when each of them was seen.

        Raises:
            LocalServiceError: some of them do not come.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._seen.keys() >= set(object_ids), LONGEST_SECONDS):
                missing = set(object_ids) - self._seen.keys()
                raise LocalServiceError(f"{len(missing)} of {len(object_ids)} changes did not come into the book.")
            return {one: self._seen[one] for one in object_ids}

    def _run(self) -> None:
        with self._engine.connect() as connection:
            head = begin = int(connection.execute(_HEAD).scalar_one())
            told: set[int] = set()
            while not self._stopping.wait(self._look_seconds):
                rows = connection.execute(
                    _NEWER, {"after": max(begin, head - self._overlap), "but_of": self._but_of}
                ).all()
                now = time.perf_counter()
                new = [row for row in rows if row.sequence not in told]
                if not new:
                    continue
                told.update(row.sequence for row in new)
                head = max(head, *told)
                with self._changed:
                    for row in new:
                        self._seen[str(row.member_id or row.object_id)] = now
                    self._changed.notify_all()
