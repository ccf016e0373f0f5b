"""One tenant's view of Graph: delta pages, single objects, members, subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from common.clock import from_text, to_text
from common.errors import BadPageError
from common.graph.credentials import Credentials
from common.graph.http import GraphHttp
from common.graph.resources import SELECT
from common.graph.tokens import Tokens, roles_of
from common.messages import Stream

CHANGE_TYPES = "updated,deleted"
"""The only types users and groups have; a creation and a soft deletion arrive as `updated`."""

CREATE_SUBSCRIPTION_SECONDS = 60.0
"""Graph calls the webhook twice before it answers a creation, and gives each call 10 s."""

NOTIFICATIONS_PATH = "/graph/notifications"
LIFECYCLE_PATH = "/graph/lifecycle"
"""Where below the public address the webhook is called (`webhook.app`)."""

LOOP = "Graph repeats a nextLink: the round would never end."
LIST_PAGE = 999
LIST_PAGES_LIMIT = 10_000


@dataclass(frozen=True)
class DeltaPage:
    """One page of a delta round: the raw items, and exactly one of the two links."""

    items: list[dict[str, Any]]
    next_link: str | None
    delta_link: str | None


@dataclass(frozen=True)
class Subscription:
    """A subscription as Graph shows it; its `clientState` is never shown."""

    subscription_id: str
    resource: str
    change_type: str
    notification_url: str
    expires_at: datetime


class GraphClient:
    """Graph as one tenant; thread-safe, cheap to make once a tenant and process."""

    def __init__(self, credentials: Credentials, http: GraphHttp, *, also: Sequence[str] = ()) -> None:
        """Read of users the properties `also`, beside the usual ones."""
        self.cloud = http.session.cloud
        self._http = http
        self._tokens = Tokens(credentials, http.session)
        self._base = f"{http.root}/v1.0"
        self._select = {**SELECT, Stream.USERS: tuple(dict.fromkeys((*SELECT[Stream.USERS], *also)))}
        self._beginnings = {
            stream: f"{self._base}/{stream}/delta?$select={','.join(self._select[stream])}" for stream in Stream
        }

    def first_page(self, stream: Stream) -> DeltaPage:
        """Begin a full round.

        Raises:
            BadPageError: the answer is no delta page, or leads elsewhere or to itself.
            see `GraphHttp.call` for the others.
        """
        return self._delta_page(self._http.call("GET", self._beginnings[stream], self._tokens))

    def page(self, link: str) -> DeltaPage:
        """Follow a nextLink or a deltaLink, verbatim.

        Raises:
            BadPageError: it is of another origin, the answer is no delta page, or leads elsewhere or to itself.
            see `GraphHttp.call` for the others.
        """
        page = self._delta_page(self._http.call("GET", link, self._tokens, carries_token=True))
        if page.next_link == link:
            raise BadPageError(LOOP)
        return page

    def is_own(self, link: str) -> bool:
        """Tell whether a link that was kept leads to this Graph, not to one that was read from before."""
        return self._http.is_own(link)

    def get(self, stream: Stream, object_id: str) -> dict[str, Any]:
        """Read one user or group itself.

        Raises:
            GraphNotFoundError: it is not there (or not yet).
        """
        names = ",".join(("id", *(name for name in self._select[stream] if name != "members")))
        return self._http.call("GET", f"{self._base}/{stream}/{object_id}?$select={names}", self._tokens)

    def members(self, group_id: str) -> Iterator[dict[str, Any]]:
        """Return all direct members of a group (`id` and `@odata.type`), read page by page."""
        return self._listed(f"{self._base}/groups/{group_id}/members?$select=id&$top={LIST_PAGE}")

    def people(self, properties: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Return `id` and `properties` of everybody in the directory, read page by page."""
        return self._listed(f"{self._base}/users?$select={','.join(('id', *properties))}&$top={LIST_PAGE}")

    def probe(self, path: str) -> dict[str, Any]:
        """Read `path` (below /v1.0) for what it answers; used to prove a permission."""
        return self._http.call("GET", f"{self._base}/{path}", self._tokens)

    def shown_permissions(self) -> frozenset[str] | None:
        """Return the permissions that a new access token shows, or None where it shows nothing; only for a hint."""
        return roles_of(self._tokens(renew=True))

    def subscriptions(self) -> list[Subscription]:
        """Return all subscriptions of the application in the tenant."""
        return [_subscription(item) for item in self._listed(f"{self._base}/subscriptions")]

    def create_subscription(
        self, stream: Stream, *, public_url: str, client_state: str, expires_at: datetime
    ) -> Subscription:
        """Create a subscription; Graph calls both addresses before it answers.

        Raises:
            GraphConflictError: there is one for the same resource and change types.
            GraphRefusedError: e.g. the webhook did not answer the handshake.
        """
        body = {
            "resource": str(stream),
            "changeType": CHANGE_TYPES,
            "notificationUrl": f"{public_url}{NOTIFICATIONS_PATH}",
            "lifecycleNotificationUrl": f"{public_url}{LIFECYCLE_PATH}",
            "clientState": client_state,
            "expirationDateTime": to_text(expires_at),
        }
        answer = self._http.call(
            "POST",
            f"{self._base}/subscriptions",
            self._tokens,
            body=body,
            timeout_seconds=CREATE_SUBSCRIPTION_SECONDS,
        )
        return _subscription(answer)

    def renew_subscription(self, subscription_id: str, expires_at: datetime) -> Subscription:
        """Move the expiry; this reauthorises as well, so that no `/reauthorize` is needed.

        Raises:
            GraphNotFoundError: it is gone; create a new one and run a delta round for the gap.
        """
        body = {"expirationDateTime": to_text(expires_at)}
        address = f"{self._base}/subscriptions/{subscription_id}"
        return _subscription(self._http.call("PATCH", address, self._tokens, body=body))

    def delete_subscription(self, subscription_id: str) -> None:
        """Delete a subscription.

        Raises:
            GraphNotFoundError: it is gone already.
        """
        self._http.call("DELETE", f"{self._base}/subscriptions/{subscription_id}", self._tokens)

    def _delta_page(self, answer: dict[str, Any]) -> DeltaPage:
        next_link, delta_link = _link(answer, "@odata.nextLink"), _link(answer, "@odata.deltaLink")
        link = next_link or delta_link
        if link is None or (next_link is not None and delta_link is not None):
            raise BadPageError("A delta page must have exactly one of nextLink and deltaLink.")
        self._http.require_own_origin(link)  # before it is stored: a foreign cursor could never be followed
        if unquote(link) in self._beginnings.values():
            # Another round would begin under the name of this one, and not tell who left since this one began.
            raise BadPageError(LOOP)
        return DeltaPage(_items(answer), next_link, delta_link)

    def _listed(self, address: str) -> Iterator[dict[str, Any]]:
        """Yield the objects of a list, page by page."""
        seen: set[str] = set()
        link: str | None = address
        while link is not None:
            if link in seen or len(seen) > LIST_PAGES_LIMIT:
                raise BadPageError("Graph repeats a nextLink: the list would never end.")
            seen.add(link)
            answer = self._http.call("GET", link, self._tokens)
            yield from _items(answer)
            link = _link(answer, "@odata.nextLink")


def _items(answer: dict[str, Any]) -> list[dict[str, Any]]:
    items = answer.get("value")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadPageError("The answer has no list of objects in `value`.")
    return items


def _link(answer: dict[str, Any], name: str) -> str | None:
    value = answer.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise BadPageError(f"{name} is no address.")
    return value


def _subscription(item: dict[str, Any]) -> Subscription:
    try:
        return Subscription(
            subscription_id=str(item["id"]).lower(),
            resource=str(item["resource"]).strip("/").lower(),
            change_type=str(item["changeType"]),
            notification_url=str(item["notificationUrl"]),
            expires_at=from_text(item["expirationDateTime"]),
        )
    except (KeyError, ValueError, TypeError):
        raise BadPageError("Graph described a subscription in an unknown shape.") from None
