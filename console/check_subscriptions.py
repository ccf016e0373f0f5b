"""A tenant's subscriptions: are those that the worker keeps really at Graph, and do they call this installation?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from common.graph.client import LIFECYCLE_PATH, NOTIFICATIONS_PATH, Subscription
from common.messages import Stream
from console import output, times
from console.finding import Finding, fine, trouble, warning
from console.reads.overview import SubscriptionRow

OURS = (NOTIFICATIONS_PATH, LIFECYCLE_PATH)


def compare(
    kept: Sequence[SubscriptionRow], actual: Sequence[Subscription], public_url: str, *, now: datetime, advice: str
) -> Iterator[Finding]:
    """Yield for each stream whether Graph will notify of it, and what calls this installation without being known.

    Args:
        kept: As the database has them.
        actual: As Graph lists them, of other installations of the same application too.
        public_url: Where Graph should call.
        now: The time to compare expiries with.
        advice: What is done about a trouble, and when.
    """
    at_graph = {one.subscription_id: one for one in actual}
    for stream in Stream:
        row = next((one for one in kept if one.stream == stream), None)
        wrong = _wrong(stream, row, at_graph, public_url, now)
        name = f"tenant.subscription.{stream}"
        if wrong is None and row is not None:
            until = times.moment(at_graph[row.subscription_id].expires_at)
            yield fine(name, f"Graph notifies of {stream}, by a subscription until {until}.")
        else:
            yield trouble(name, f"Graph does not notify of {stream}: {wrong}.", advice)
    known = {one.subscription_id for one in kept}
    addresses = {f"{public_url}{path}" for path in OURS}
    strays = [one for one in actual if one.notification_url in addresses and one.subscription_id not in known]
    if strays:
        many = output.plural(len(strays), "subscription")
        text = f"{many} at Graph call this installation without being known here: their notifications are dropped."
        yield warning("tenant.subscription.strays", text, advice)


def _wrong(
    stream: Stream, row: SubscriptionRow | None, at_graph: dict[str, Subscription], public_url: str, now: datetime
) -> str | None:
    """Return why a stream's subscription does not do, or None when it does."""
    if row is None:
        return "no subscription was made yet"
    found = at_graph.get(row.subscription_id)
    if found is None:
        return "Graph does not have the subscription any more"
    if found.resource != stream:
        return f"the subscription is one of {output.shown(found.resource)}"
    if found.notification_url != f"{public_url}{NOTIFICATIONS_PATH}":
        return f"the subscription calls {output.shown(found.notification_url)}"
    return "the subscription has expired" if found.expires_at <= now else None
