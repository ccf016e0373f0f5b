"""Delta queries over users and groups: the requests, the links, and everything that can go wrong with a token.

Source: "user: delta", "group: delta" and "Use delta query to track changes" of the Microsoft Graph documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, Response, request

from simulator import query, rendering
from simulator.answers import json_answer
from simulator.delta_round import DeltaRound
from simulator.gate import Caller, Gate
from simulator.graph_errors import GraphError, bad_request
from simulator.page_tokens import PageToken
from simulator.schema import GROUP, USER, Schema
from simulator.tenant import Tenant

_FOREIGN_ORIGIN = "https://graph.example.net"
READERS: Mapping[str, tuple[str, ...]] = {
    "user": ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All"),
    "group": ("GroupMember.Read.All", "Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All"),
}


def routes(gate: Gate) -> Blueprint:
    """Return `/users/delta` and `/groups/delta` with their alias spellings."""
    blueprint = Blueprint("delta", __name__)

    def serve(schema: Schema) -> Response:
        caller = gate.admit(*READERS[schema.type])
        with caller.tenant.lock:
            return DeltaRequest(caller, schema).answer()

    def users() -> Response:
        return serve(USER)

    def groups() -> Response:
        return serve(GROUP)

    for function in ("delta", "microsoft.graph.delta", "delta()", "microsoft.graph.delta()"):
        blueprint.add_url_rule(f"/users/{function}", f"users/{function.replace('.', ' ')}", users)
        blueprint.add_url_rule(f"/groups/{function}", f"groups/{function.replace('.', ' ')}", groups)
    return blueprint


@dataclass
class DeltaRequest:
    """One request of a delta round."""

    caller: Caller
    schema: Schema

    @property
    def tenant(self) -> Tenant:
        return self.caller.tenant

    def answer(self) -> Response:
        given = query.options(request.args)
        query.refuse(given, "expand", "search", "count")
        population, horizon = self.tenant.delta_replica.current()
        token, is_first = self._token(given, horizon)
        if given.get("deltatoken") == "latest":
            return self._page([], replace(token, use="delta", since=horizon, until=horizon), is_first=True)
        minimal = "return=minimal" in request.headers.get("Prefer", "").replace(" ", "").lower()
        items, rest = DeltaRound(token, population, self.tenant.log, self.tenant.faults).page(minimal=minimal)
        self._disturb(items)
        if rest is None:
            last = replace(token, use="delta", since=token.until, position=token.until, pending=(), again=())
            return self._page(items, replace(last, previous=token.since), is_first=is_first)
        return self._page(items, self._carry_over(items, rest), is_first=is_first)

    # Tokens

    def _token(self, given: Mapping[str, str], horizon: int) -> tuple[PageToken, bool]:
        """Return the token to serve and whether this is the first page of a round."""
        if given.get("skiptoken"):
            query.refuse(given, "select", "filter")
            return self._open(given["skiptoken"], "skip"), False
        if given.get("deltatoken") and given["deltatoken"] != "latest":
            query.refuse(given, "filter")
            opened = self._open(given["deltatoken"], "delta")
            return self._next_round(opened, given, horizon), True
        ids = query.filtered_ids(given)
        begun = PageToken(
            use="skip",
            stream=self.schema.type,
            generation=self.tenant.generation,
            issued_at=self.tenant.clock.now(),
            select=query.selected(given, self.schema, delta=True),
            ids=ids,
            until=horizon,
            empties=self._empty_pages(ids),
        )
        return begun, True

    def _next_round(self, opened: PageToken, given: Mapping[str, str], horizon: int) -> PageToken:
        since = opened.since or 0
        if opened.previous is not None and self.tenant.faults.takes("delta_replay_rounds"):
            since = opened.previous
        select = query.selected(given, self.schema, delta=True) or opened.select
        return replace(
            opened,
            use="skip",
            since=since,
            position=since,
            until=max(horizon, since),
            select=select,
            empties=self._empty_pages(opened.ids),
        )

    def _empty_pages(self, ids: tuple[str, ...] | None) -> int:
        configured = int(self.tenant.faults.value("delta_empty_pages"))
        if configured:
            self.tenant.faults.count("delta_empty_pages")
        # With a filter the service is known to answer empty pages before the matches.
        return configured + (ids is not None)

    def _open(self, text: str, use: str) -> PageToken:
        self._expire_by_fault()
        token = self.tenant.page_tokens.open(text)
        if token is None or token.use != use or token.stream != self.schema.type:
            raise bad_request("Badly formed token.")
        age = self.tenant.clock.now() - token.issued_at
        if use == "skip" and age > self.tenant.faults.seconds("page_token_lifetime_seconds"):
            raise GraphError(400, "Directory_ExpiredPageToken", "The specified page token value has expired.")
        too_old = use == "delta" and age > self.tenant.faults.seconds("delta_token_lifetime_seconds")
        if too_old or token.generation != self.tenant.generation:
            raise self._expired()
        return token

    def _expire_by_fault(self) -> None:
        faults = self.tenant.faults
        if faults.takes("expire_next_tokens") or faults.fires("expire_token"):
            raise self._expired()

    def _expired(self) -> GraphError:
        shape = self.tenant.faults.value("expired_token_shape")
        if shape == "gone":
            location = f"{self.caller.root}/{self.schema.segment}/delta?$deltatoken="
            message = "Resync required. Replace any local items with the server's version."
            return GraphError(410, "resyncRequired", message, {"Location": location})
        if shape == "sync_state_not_found":
            message = "The sync state generation is not found. This can be because the delta token is expired."
            return GraphError(400, "syncStateNotFound", message)
        return GraphError(400, "Request_UnsupportedQuery", "DeltaLink older than 30 days is not supported.")

    # Pages

    def _disturb(self, items: list[dict[str, Any]]) -> None:
        """Damage a page the ways that the service has been seen to, or may."""
        faults = self.tenant.faults
        if items and faults.fires("delta_duplicate_in_page"):
            items.append(faults.pick(items))
        if items and faults.fires("delta_unknown_properties"):
            faults.pick(items)["futureProperty"] = {"nested": [1, "two"]}
        with_members = [item for item in items if "members@delta" in item]
        if with_members and faults.fires("delta_unknown_member_type"):
            stranger = rendering.member("00000000-0000-4000-8000-00000000f00d", "agentIdentity")
            faults.pick(with_members)["members@delta"].append(stranger)

    def _carry_over(self, items: list[dict[str, Any]], rest: PageToken) -> PageToken:
        if items and self.tenant.faults.fires("delta_duplicate_across_pages"):
            return replace(rest, again=(self.tenant.faults.pick(items)["id"],))
        return rest

    def _page(self, items: list[dict[str, Any]], token: PageToken, *, is_first: bool) -> Response:
        sealed = self.tenant.page_tokens.seal(replace(token, issued_at=self.tenant.clock.now()))
        # Later pages are known to lose the select list from their context.
        context = rendering.context(self.caller.root, self.schema, token.select if is_first else None)
        name, option = ("nextLink", "skiptoken") if token.use == "skip" else ("deltaLink", "deltatoken")
        link = f"{self.caller.root}/{self.schema.segment}/delta?${option}={sealed}"
        if name == "nextLink" and self.tenant.faults.takes("delta_next_link_loop"):
            # Clients upper-case the escapes of a link on the wire; the loop is to be visible in the text.
            link = f"{self.caller.origin}{request.path}?{request.query_string.decode().replace('%3D', '%3d')}"
        if self.tenant.faults.takes("delta_foreign_next_link"):
            link = _FOREIGN_ORIGIN + link.removeprefix(self.caller.origin)
        return json_answer({"@odata.context": context, "value": items, f"@odata.{name}": link})
