"""What the webhook counts. No label ever holds a value that a stranger can choose, none names a tenant or a person.

Every series that is known begins at 0: else rate() would not see its first event.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from webhook.payload import Refusal

_POST_OUTCOMES = (
    *("accepted", "handshake"),
    *("bad_request", "too_large", "wrong_content_type", "not_served"),
    *("broker_unavailable", "overloaded", "failed"),
)
_PUBLISH_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0)


class Metrics:
    """The webhook's counters; made once a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.posts = Counter(
            "entra_sms_webhook_posts", "Requests by how they were answered.", ["outcome"], registry=self.registry
        )
        self.items = Counter(
            "entra_sms_webhook_items", "Notification items by what became of them.", ["outcome"], registry=self.registry
        )
        self.publish_seconds = Histogram(
            "entra_sms_webhook_publish_seconds",
            "Time until the broker confirmed, or until it was given up.",
            buckets=_PUBLISH_BUCKETS,
            registry=self.registry,
        )
        for outcome in _POST_OUTCOMES:
            self.posts.labels(outcome)
        for outcome in ("queued", *Refusal):
            self.items.labels(outcome)
        self.posts_accepted = self.posts.labels("accepted")
        self.items_queued = self.items.labels("queued")
