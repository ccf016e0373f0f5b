"""A Graph that answers what a test wrote down, and remembers what it was asked."""

from collections.abc import Callable, Iterator
from typing import Any

from common.db.tenants import Tenant
from common.graph.client import DeltaPage
from common.messages import Stream

Answer = DeltaPage | dict[str, Any] | list[dict[str, Any]] | Exception | Callable[[], Any]


def page(*items: dict[str, Any], then: str | None = None, end: str | None = None) -> DeltaPage:
    """A delta page that leads on to `then`, or ends the round at `end`."""
    return DeltaPage(list(items), then, end)


class ScriptedGraph:
    """Stands in for `GraphClient`, and for `Clients`, of which it is the only one.

    Every address has a list of answers; the last one is given for ever. An address of which the test said nothing
    fails the test.
    """

    FIRST = "first"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, list[Answer]] = {}

    def of(self, _tenant: Tenant) -> "ScriptedGraph":
        return self

    def on(self, address: str, *answers: Answer) -> None:
        self._answers[address] = list(answers)

    def is_own(self, _link: str) -> bool:
        return True

    def first_page(self, _stream: Stream) -> DeltaPage:
        found: DeltaPage = self._answer(self.FIRST)
        return found

    def page(self, link: str) -> DeltaPage:
        found: DeltaPage = self._answer(link)
        return found

    def get(self, stream: Stream, object_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self._answer(f"{stream}/{object_id}")
        return found

    def members(self, group_id: str) -> Iterator[dict[str, Any]]:
        yield from self._answer(f"members/{group_id}")

    def _answer(self, address: str) -> Any:
        self.asked.append(address)
        answers = self._answers.get(address)
        assert answers, f"nobody said what {address} answers"
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer
