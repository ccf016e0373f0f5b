"""The page after the one that is being written, fetched meanwhile: at most one, on a thread of the process's pool.

The order stays: what is fetched is written in its turn, and an error shows when the page is asked for, after all pages
before it were committed. What nobody asks for is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Fetches on `executor`, by `fetch`, what is going to be asked for; without an executor only what is asked for."""

    def __init__(self, executor: Executor | None, fetch: Callable[[str | None], T]) -> None:
        self._executor = executor
        self._fetch = fetch
        self._begun: tuple[str, Future[T]] | None = None

    def begin(self, link: str) -> None:
        """Have `link` fetched, since it will be asked for next."""
        if self._executor is not None:
            self._begun = (link, self._executor.submit(self._fetch, link))

    def take(self, link: str | None) -> T:
        """Return what `link` leads to, or raise what fetching it raised."""
        begun, self._begun = self._begun, None
        if begun is None or begun[0] != link:
            return self._fetch(link)
        return begun[1].result()
