"""Which subscriptions are deleted at Graph when a tenant goes."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from common.graph.answers import GraphNotFoundError
from common.graph.client import GraphClient, Subscription
from console.removal import Known, delete_subscriptions

SOON = datetime(2026, 3, 2, tzinfo=UTC)


class Directory:
    """The subscriptions of an application, and which of them were deleted."""

    def __init__(self, *found: Subscription, gone: tuple[str, ...] = ()) -> None:
        self.found, self.gone = found, gone
        self.deleted: list[str] = []

    def subscriptions(self) -> list[Subscription]:
        return list(self.found)

    def delete_subscription(self, subscription_id: str) -> None:
        if subscription_id in self.gone:
            raise GraphNotFoundError("Graph answered 404.")
        self.deleted.append(subscription_id)


def subscription(subscription_id: str, url: str) -> Subscription:
    return Subscription(subscription_id, "users", "updated,deleted", url, SOON)


@pytest.mark.parametrize(
    ("public_url", "ids", "deleted"),
    [
        ("https://sync.example", set(), ["ours"]),
        ("https://sync.example", {"moved"}, ["ours", "moved"]),
        ("", {"moved"}, ["moved"]),
        ("", set(), []),
    ],
)
def test_only_our_subscriptions_are_deleted(public_url: str, ids: set[str], deleted: list[str]) -> None:
    directory: Any = Directory(
        subscription("ours", "https://sync.example/graph/notifications"),
        subscription("a neighbour's", "https://sync.example.org/graph/notifications"),
        subscription("moved", "https://old.example/graph/notifications"),
        subscription("somebody else's", "https://crm.example/hook"),
    )

    count = delete_subscriptions(cast("GraphClient", directory), Known(frozenset(ids), public_url))

    assert directory.deleted == deleted
    assert count == len(deleted)


def test_a_subscription_that_is_gone_already_is_no_error() -> None:
    directory: Any = Directory(
        subscription("one", "https://sync.example/a"), subscription("two", "https://sync.example/b"), gone=("one",)
    )

    assert delete_subscriptions(cast("GraphClient", directory), Known(frozenset(), "https://sync.example")) == 1
