"""An answer that is not known yet, since it depends on whether a group is confirmed.

Any server may iterate it, and waits for it then. `webhook.patience` asks to be called, so that no thread waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from flask import Response

from webhook.group_commit import Group

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Later(Response):
    """What a view returns in the place of the answer; what is done to it after the request is not done to that one."""

    def __init__(self, group: Group, answer: Callable[[Group], WSGIApplication]) -> None:
        """`answer` is called when the group is over, maybe on another thread."""
        super().__init__()
        self._group = group
        self._answer = answer

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Awaited:
        return Awaited(self._group, lambda: self._answer(self._group)(environ, start_response))


class Settled:
    """An answer that is the same for everybody: its headers are worked out once."""

    def __init__(self, response: Response) -> None:
        self._status = response.status
        self._headers = response.get_wsgi_headers({}).to_wsgi_list()
        self._body = response.get_data()

    def __call__(self, _environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(self._status, list(self._headers))
        return (self._body,)


class Awaited:
    """The same for a server: a body, before whose first byte not even the status is known."""

    def __init__(self, group: Group, known: Callable[[], Iterable[bytes]]) -> None:
        self._group = group
        self._known = known

    def __iter__(self) -> Iterator[bytes]:
        self._group.wait()
        return iter(self._known())

    def when_known(self, call: Callable[[], object]) -> bool:
        """Have `call` called, from another thread, when iterating needs no waiting; False if it needs none now."""
        return self._group.when_over(call)
