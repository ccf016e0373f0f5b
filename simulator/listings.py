"""Paging of plain listings: `$top`, `$skiptoken` and the nextLink."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from flask import Response, request

from simulator import query, rendering
from simulator.answers import json_answer
from simulator.gate import Caller
from simulator.graph_errors import GraphError, bad_request
from simulator.page_tokens import PageToken
from simulator.population import DirectoryObject
from simulator.schema import Schema


class Listing:
    """One page of the listing that the current request asks for.

    The token remembers the place and the page size; other options have to be sent along, and the nextLink does.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._given = query.options(request.args)
        query.refuse(self._given, "search", "orderby", "expand", "skip")
        token = self._token()
        self.position = token.position if token else 0
        self._size = token.page_size if token else query.top(self._given)

    def answer(
        self,
        found: Iterator[tuple[int, DirectoryObject]],
        show: Callable[[DirectoryObject], dict[str, Any]],
        schema: Schema | None = None,
    ) -> Response:
        """Answer with a page of `found`, which yields (position, object) from `self.position` on."""
        root = self._caller.root
        names = query.selected(self._given, schema) if schema else None
        context = rendering.context(root, schema, names) if schema else f"{root}/$metadata#directoryObjects"
        body: dict[str, Any] = {"@odata.context": context, "value": []}
        for at, each in found:
            if len(body["value"]) == self._size:
                body["@odata.nextLink"] = self._next_link(at)
                break
            body["value"].append(show(each))
        return json_answer(body)

    def _next_link(self, position: int) -> str:
        tenant = self._caller.tenant
        token = PageToken(
            use="list",
            stream=request.path,
            generation=tenant.generation,
            issued_at=tenant.clock.now(),
            position=position,
            page_size=self._size,
        )
        kept = "".join(f"${name}={quote(self._given[name])}&" for name in ("select", "filter") if name in self._given)
        return f"{self._caller.origin}{request.path}?{kept}$skiptoken={tenant.page_tokens.seal(token)}"

    def _token(self) -> PageToken | None:
        text = self._given.get("skiptoken")
        if text is None:
            return None
        tenant = self._caller.tenant
        token = tenant.page_tokens.open(text)
        if token is None or token.use != "list" or token.stream != request.path:
            raise bad_request("Badly formed token.")
        lifetime = tenant.faults.seconds("page_token_lifetime_seconds")
        if tenant.clock.now() - token.issued_at > lifetime or token.generation != tenant.generation:
            raise GraphError(400, "Directory_ExpiredPageToken", "The specified page token value has expired.")
        return token
